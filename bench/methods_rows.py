"""The runs of methods.py and what they are held to. A row is one container: model, setting, method, data."""
from dataclasses import dataclass

CALIBRATION_TOKENS = 90112  # of tinylm's calib_ids.npy: 352 windows
BLOCK_LINEARS = ("--keep", "embed|lm_head")  # tinylm's embedding and head stay bf16, as in the baselines


@dataclass(frozen=True)
class Row:
    table: str          # where it is shown
    model: str          # tinylm, outliers (tinylm with outlier channels), resnet8, mnist
    setting: str        # how it is called in tables
    scheme: tuple       # its options
    method: str         # as --method takes it, or "preset NAME"
    options: tuple = ()
    samples: int = 0    # calibration tokens (samples); 0: none is needed
    windows: int = 0    # of the evaluation; 0: all
    seed: int = 0       # a draw of calibration data; 0: in the order of the file
    integer: bool = False  # is also run with --numerics integer

    @property
    def id(self):
        parts = [self.table, self.model, self.setting, self.method, *self.options]
        return "/".join(parts + ([f"draw {self.seed}"] if self.seed else []))


# ---- tinylm ----

W = {  # setting: options of the scheme
    "W8 channel sym": ("--w8a16", "--group", "channel"),
    "W4 g32 sym": ("--w4a16", "--group", "32"),
    "W4 g128 sym": ("--w4a16", "--group", "128"),
    "W4 channel sym": ("--w4a16", "--group", "channel"),
    "W4 g32 sym, A8 per token": ("--w4a8", "--group", "32"),
    "W3 g64 asym": ("--w3a16", "--group", "64", "--asym", "--zero", "integer"),
    "W3 g32 sym": ("--w3a16", "--group", "32"),
    "W2 g32 asym": ("--w2a16", "--group", "32", "--asym", "--zero", "integer"),
    "W2 g64 asym": ("--w2a16", "--group", "64", "--asym", "--zero", "integer"),
}
NO_DATA = {"rtn", "mse", "hqq", "cle+rtn", "rotate+rtn", "batchnorm+rtn", "batchnorm+cle+rtn", "batchnorm+mse",
           "preset data-free", "preset mxfp4", "preset nvfp4", "preset w8a16"}

# Every method on three settings, the strongest on all.
ALL_METHODS = ("rtn", "mse", "hqq", "imatrix", "gptq", "gptaq", "adaround", "flexround", "compensate+imatrix", "compensate+gptq",
               "compensate+gptq:rounds=3", "compensate+gptaq", "compensate+adaround", "compensate+gptq+bias", "logeq+gptq", "smoothquant+gptq",
               "awq+imatrix", "awq+gptq", "rotate+gptq", "awq+compensate+gptq", "smoothquant:alpha=0+compensate+gptq", "rotate+compensate+gptq",
               "preset data-free", "preset fast", "preset balanced", "preset best")
STRONGEST = ("rtn", "mse", "imatrix", "gptq", "compensate+gptq", "preset best")
FULL_TABLE = ("W4 g32 sym", "W3 g64 asym", "W2 g64 asym")
PRESETS_WITH_SCHEME = ("w8a16", "w8a8-dyn", "w4g128-fast", "w4g128", "w3g64", "w2g64", "w4a8-int", "w4a4", "kv4", "mxfp4", "nvfp4")
DRAWN = ("imatrix", "gptq", "compensate+gptq", "preset best")


def suits(setting, method):
    return method not in ("hqq",) or "asym" in setting


def tinylm_rows():
    for setting, scheme in W.items():
        for method in ALL_METHODS if setting in FULL_TABLE else STRONGEST:
            if suits(setting, method):
                yield Row("tinylm", "tinylm", setting, scheme, method, samples=0 if method in NO_DATA else CALIBRATION_TOKENS)
        if setting != "W8 channel sym":
            yield Row("tinylm", "tinylm", setting, scheme, "gptq", ("--no-sequential",), CALIBRATION_TOKENS)
    for setting in FULL_TABLE:
        for method in DRAWN:
            for seed in (1, 2, 3):
                yield Row("tinylm draws", "tinylm", setting, W[setting], method, (), CALIBRATION_TOKENS // 2, seed=seed)
    for name in PRESETS_WITH_SCHEME:
        method = f"preset {name}"
        yield Row("tinylm presets", "tinylm", name, (), method, samples=0 if method in NO_DATA else CALIBRATION_TOKENS)


# What plain reference implementations give for the same grids: (rtn, mse).
YARDSTICK = {
    "W4 g32 sym": (0.00821, 0.00610), "W4 g128 sym": (0.01160, 0.00824), "W4 channel sym": (0.01409, 0.00986),
    "W3 g64 asym": (0.03070, 0.02857), "W3 g32 sym": (0.04397, 0.02762), "W2 g32 asym": (0.15232, 0.12764),
    "W2 g64 asym": (0.20381, 0.14668), "W4 g32 sym, A8 per token": (0.00888, 0.00672),
}


def yardstick_rows():
    for setting in YARDSTICK:
        grid = () if "asym" in setting else ("--sym-grid", "restricted")
        for method in ("rtn", "mse"):
            yield Row("yardstick", "tinylm", setting, W[setting], method, grid)


# ---- outliers ----

OUTLIER_SETTINGS = {  # setting: (scheme, rounding)
    "W8A8 per token": (("--w8a8", "--group", "channel"), "rtn"),
    "W4A8 per token": (("--w4a8", "--group", "32"), "compensate+gptq"),
    "W8A8 static": (("--w8a8", "--group", "channel", "--act", "static"), "rtn"),
    "W4A8 static": (("--w4a8", "--group", "32", "--act", "static"), "compensate+gptq"),
}
OUTLIER_TRANSFORMS = ("", "smoothquant:alpha=0+", "awq+", "rotate+", "rotate:r4=1+")
OUTLIER_TOKENS, OUTLIER_WINDOWS = 32768, 60


def outlier_rows():
    for setting, (scheme, rounding) in OUTLIER_SETTINGS.items():
        for model in ("tinylm", "outliers"):
            for transform in OUTLIER_TRANSFORMS:
                method = transform + rounding
                free = method in NO_DATA or method == "rotate:r4=1+rtn"
                samples = 0 if free and "static" not in setting else OUTLIER_TOKENS
                yield Row("outliers", model, setting, scheme, method, (), samples, OUTLIER_WINDOWS)


# ---- convolutions ----

STATIC = ("--act", "static")
CNN = {
    "W8A8": ("--w8a8", "--group", "channel"), "W4A8": ("--w4a8", "--group", "channel"),
    "W4A4": ("--w4a4", "--group", "channel"), "W3A8": ("--w3a8", "--group", "channel"),
}
CNN_METHODS = ("batchnorm+rtn", "batchnorm+mse", "batchnorm+imatrix", "batchnorm+gptq", "batchnorm+gptaq", "batchnorm+adaround",
               "batchnorm+flexround", "batchnorm+rtn+bias", "batchnorm+cle+rtn", "batchnorm+cle+absorb+rtn", "batchnorm+smoothquant+rtn",
               "batchnorm+compensate+gptq", "batchnorm+compensate+gptq:rounds=3")
OBSERVERS = ("minmax", "percentile", "entropy", "mse", "octav")
BEST_CNN = "batchnorm+compensate+gptq"


def cnn_rows():
    for setting, scheme in CNN.items():
        for method in CNN_METHODS:
            yield Row("resnet8", "resnet8", setting, scheme + STATIC, method, (), SAMPLES["resnet8"], integer=method == BEST_CNN)
    for setting in ("W8A8", "W4A8"):
        for more in (("--act-asym",), ("--act-asym", "--act-per-channel"), ("--act-pow2",)):
            yield Row("resnet8 activations", "resnet8", setting, CNN[setting] + STATIC, BEST_CNN, more, SAMPLES["resnet8"], integer=True)
        for observer in OBSERVERS:
            for more in ((), ("--act-asym",)):
                yield Row("resnet8 activations", "resnet8", setting, CNN[setting] + STATIC, BEST_CNN, ("--observer", observer, *more),
                          SAMPLES["resnet8"])
    for seed in (1, 2, 3):
        for setting in ("W8A8", "W4A8"):
            yield Row("resnet8 draws", "resnet8", setting, CNN[setting] + STATIC, BEST_CNN, (), SAMPLES["resnet8"] // 2, seed=seed)
    for setting in ("W8A8", "W4A8"):
        for method in ("rtn", "mse", "gptq", "compensate+gptq"):
            yield Row("mnist", "mnist", setting, CNN[setting] + STATIC, method, (), SAMPLES["mnist"], integer=True)


SAMPLES = {"resnet8": 500, "mnist": 200}  # all that calib.npz holds; read again at the start


def all_rows():
    return [*tinylm_rows(), *yardstick_rows(), *outlier_rows(), *cnn_rows()]


# ---- what must hold ----

@dataclass(frozen=True)
class Goal:
    text: str
    figure: str   # of the row; "ratio KEY": over that of `over`
    row: str      # its id
    op: str
    bound: float
    over: str = ""
