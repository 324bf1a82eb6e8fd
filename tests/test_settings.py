import pytest

from ectopy.settings import SettingsError, load_settings


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch):
    for name in ("DATA_DIR", "SOURCE", "TRACKING_URI", "WORKERS"):
        monkeypatch.delenv(f"ECTOPY_{name}", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_the_defaults_are_those_of_the_interface():
    settings = load_settings()
    assert (str(settings.data_dir), settings.tracking_uri) == ("data", "sqlite:///mlruns/mlflow.db")
    assert settings.source == "https://physionet.org/files/"


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("ECTOPY_DATA_DIR", "elsewhere")
    monkeypatch.setenv("ECTOPY_WORKERS", "3")
    assert (str(load_settings().data_dir), load_settings().workers) == ("elsewhere", 3)


def test_mlflow_s_own_variable_is_honoured(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert load_settings().tracking_uri == "http://127.0.0.1:5000"


def test_ours_goes_before_mlflow_s(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    monkeypatch.setenv("ECTOPY_TRACKING_URI", "sqlite:///x.db")
    assert load_settings().tracking_uri == "sqlite:///x.db"


def test_a_misspelt_setting_is_refused_with_those_there_are(monkeypatch):
    monkeypatch.setenv("ECTOPY_DATADIR", "x")
    with pytest.raises(
        SettingsError,
        match=r"^ECTOPY_DATADIR: unknown setting\. Use one of ECTOPY_CACHE_DIR, ECTOPY_CACHE_GB, ",
    ):
        load_settings()


def test_an_impossible_value_is_refused_by_the_name_of_its_setting(monkeypatch):
    monkeypatch.setenv("ECTOPY_WORKERS", "0")
    with pytest.raises(SettingsError, match=r"ECTOPY_WORKERS: '0' is not valid\. Give at least 1\."):
        load_settings()


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf", "1e300"])
def test_a_cache_of_no_size_or_of_an_absurd_one_is_refused(monkeypatch, size):
    monkeypatch.setenv("ECTOPY_CACHE_GB", size)
    with pytest.raises(SettingsError, match=rf"ECTOPY_CACHE_GB: '{size}' is not valid\. Give"):
        load_settings()


@pytest.mark.parametrize("name", ["ECTOPY_RECORDING_TIME_S", "ECTOPY_RECORDING_MEMORY_MB"])
def test_a_limit_that_the_system_cannot_set_is_refused(monkeypatch, name):
    monkeypatch.setenv(name, "9" * 20)
    with pytest.raises(SettingsError, match=rf"{name}: '9+' is not valid\. Give at most 1e\+09"):
        load_settings()


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().workers = 5
