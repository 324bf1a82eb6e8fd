"""The beat classifier: training sets, augmentation, the Keras network, its ONNX export and inference."""
