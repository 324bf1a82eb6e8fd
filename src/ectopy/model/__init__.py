"""The beat classifier: training sets, augmentation, the Keras GRU, its ONNX export and inference."""
