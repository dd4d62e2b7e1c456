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

# Every method on one setting, those that differ most on two more, the strongest on all.
ALL_METHODS = (
    "rtn", "mse", "hqq", "imatrix", "gptq", "gptaq", "adaround", "flexround", "compensate+imatrix", "compensate+gptq",
    "compensate+gptq:rounds=3", "compensate+gptaq", "compensate+adaround", "compensate+gptq+bias", "logeq+gptq", "smoothquant+gptq",
    "awq+imatrix", "awq+gptq", "cle+gptq", "rotate+gptq", "awq+compensate+gptq", "smoothquant:alpha=0+compensate+gptq",
    "rotate+compensate+gptq", "preset data-free", "preset fast", "preset balanced", "preset best")
STRONGEST = ("rtn", "mse", "imatrix", "gptq", "compensate+gptq", "preset best")
MANY_METHODS = STRONGEST + ("hqq", "gptaq", "adaround", "compensate+gptaq", "compensate+adaround", "awq+compensate+gptq",
                            "rotate+compensate+gptq")
METHODS_OF = {"W4 g32 sym": ALL_METHODS, "W3 g64 asym": MANY_METHODS, "W2 g64 asym": MANY_METHODS}
PRESETS_WITH_SCHEME = ("w8a16", "w8a8-dyn", "w4g128-fast", "w4g128", "w3g64", "w2g64", "w4a8-int", "w4a4", "kv4", "mxfp4", "nvfp4")
DRAWN = ("imatrix", "gptq", "preset best")


def suits(setting, method):
    return method not in ("hqq",) or "asym" in setting


def tinylm_rows():
    for setting, scheme in W.items():
        for method in METHODS_OF.get(setting, STRONGEST):
            if suits(setting, method):
                yield Row("tinylm", "tinylm", setting, scheme, method, samples=0 if method in NO_DATA else CALIBRATION_TOKENS)
        if setting != "W8 channel sym":
            yield Row("tinylm", "tinylm", setting, scheme, "gptq", ("--no-sequential",), CALIBRATION_TOKENS)
    for setting in ("W4 g32 sym", "W2 g64 asym"):
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
        for method in ("rtn", "mse"):  # the reference scales by max / (2^(b-1) - 1), and lets searched scales clip to -2^(b-1)
            grid = () if "asym" in setting else ("--sym-grid", "restricted" if method == "rtn" else "positive")
            yield Row("yardstick", "tinylm", setting, W[setting], method, grid)


# ---- outliers ----

OUTLIER_SETTINGS = {  # setting: (scheme, rounding)
    "W8A8 per token": (("--w8a8", "--group", "channel"), "rtn"),
    "W4A8 per token": (("--w4a8", "--group", "32"), "compensate+gptq"),
    "W8A8 static": (("--w8a8", "--group", "channel", "--act", "static"), "rtn"),
    "W4A8 static": (("--w4a8", "--group", "32", "--act", "static"), "compensate+gptq"),
}
OUTLIER_TRANSFORMS = ("", "smoothquant:alpha=0+", "awq+", "cle+", "rotate+", "rotate:r4=1+", "cle+rotate:r4=1+")
OUTLIER_TOKENS, OUTLIER_WINDOWS = 32768, 60


def outlier_rows():
    for setting, (scheme, rounding) in OUTLIER_SETTINGS.items():
        for model in ("tinylm", "outliers"):
            for transform in OUTLIER_TRANSFORMS:
                method = transform + rounding
                free = method in NO_DATA or method.endswith("rotate:r4=1+rtn")
                samples = 0 if free and "static" not in setting else OUTLIER_TOKENS
                yield Row("outliers", model, setting, scheme, method, (), samples, OUTLIER_WINDOWS)


# ---- convolutions ----

STATIC = ("--group", "channel", "--act", "static")
KEEPS_ALL = ("--observer", "minmax")
CUTS = ("--observer", "mse")
CNN = {  # setting: (scheme, activations)
    "W8A8": (("--w8a8", *STATIC), KEEPS_ALL), "W4A8": (("--w4a8", *STATIC), KEEPS_ALL),
    "W3A8": (("--w3a8", *STATIC), KEEPS_ALL), "W4A4": (("--w4a4", *STATIC), CUTS),
}
CNN_METHODS = ("batchnorm+rtn", "batchnorm+mse", "batchnorm+imatrix", "batchnorm+gptq", "batchnorm+gptaq", "batchnorm+adaround",
               "batchnorm+flexround", "batchnorm+rtn+bias", "batchnorm+mse+bias", "batchnorm+gptq+bias", "batchnorm+cle+rtn",
               "batchnorm+smoothquant+gptq", "batchnorm+awq+gptq", "batchnorm+compensate+gptq", "batchnorm+compensate+gptq:rounds=3",
               "batchnorm+compensate+gptq+bias")
OBSERVERS = ("minmax", "percentile", "entropy", "mse", "octav")
BEST_CNN = "batchnorm+compensate+gptq"


def observed_rows():
    """Ways to choose scales of activations, on the same weights."""
    kinds = [(*zero, "--observer", name) for zero in ((), ("--act-sym",)) for name in OBSERVERS]
    kinds += [("--act-per-channel",), ("--act-pow2", "--observer", "minmax")]
    for setting in ("W8A8", "W4A4"):
        for kind in kinds:
            yield Row("resnet8 activations", "resnet8", setting, CNN[setting][0], BEST_CNN, kind, SAMPLES["resnet8"])


def cnn_rows():
    for setting, (scheme, kind) in CNN.items():
        for method in CNN_METHODS:
            yield Row("resnet8", "resnet8", setting, scheme + kind, method, (), SAMPLES["resnet8"], integer=method == BEST_CNN)
    yield from observed_rows()
    for seed in (1, 2, 3):
        for setting in ("W8A8", "W4A8"):
            scheme, kind = CNN[setting]
            yield Row("resnet8 draws", "resnet8", setting, scheme + kind, BEST_CNN, (), SAMPLES["resnet8"] // 2, seed=seed)
    for setting in ("W8A8", "W4A8"):
        scheme, kind = CNN[setting]
        for method in ("rtn", "mse", "imatrix", "gptq", "compensate+gptq", "awq+gptq"):
            yield Row("mnist", "mnist", setting, scheme + kind, method, (), SAMPLES["mnist"], integer=True)


SAMPLES = {"resnet8": 500, "mnist": 500}  # all that calib.npz holds


def all_rows():
    return [*tinylm_rows(), *yardstick_rows(), *outlier_rows(), *cnn_rows()]


# ---- what must hold ----

@dataclass(frozen=True)
class Goal:
    text: str
    row: str    # its id
    figure: str
    op: str     # <=, >=, or "near": within so much of `over`, as a ratio
    bound: float
    over: object = None  # a number, or the id of a row whose figure is divided by


LANGUAGE_GOALS = {"W4 g32 sym": 0.0031, "W4 g128 sym": 0.0041, "W4 channel sym": 0.0044, "W4 g32 sym, A8 per token": 0.0037,
                  "W3 g64 asym": 0.0148, "W3 g32 sym": 0.0153, "W2 g32 asym": 0.085, "W2 g64 asym": 0.100}


def one(table, **of):
    """The id of the only row like that."""
    found = [row for row in all_rows() if row.table == table and all(getattr(row, k) == v for k, v in of.items())]
    assert len(found) == 1, (table, of, len(found))
    return found[0].id


def outlier_goals():
    for setting, (_, rounding) in OUTLIER_SETTINGS.items():
        plain = one("outliers", model="tinylm", setting=setting, method=rounding)
        for transform in ("smoothquant:alpha=0+", "awq+", "cle+rotate:r4=1+"):
            row = one("outliers", model="outliers", setting=setting, method=transform + rounding)
            yield Goal(f"outliers {setting}, {transform[:-1]}: KL, times plain", row, "kl_mean", "<=", 2.0 if "static" in setting else 1.2, plain)


def goals():
    for setting, bound in LANGUAGE_GOALS.items():
        yield Goal(f"tinylm {setting}: KL", one("tinylm", setting=setting, method="preset best"), "kl_mean", "<=", bound)
    for setting, figures in YARDSTICK.items():
        for method, value in zip(("rtn", "mse"), figures):
            yield Goal(f"reference {setting}, {method}: KL, times theirs", one("yardstick", setting=setting, method=method), "kl_mean", "near",
                       0.03, value)
    yield from outlier_goals()
    best = {setting: one("resnet8", setting=setting, method=BEST_CNN) for setting in CNN}
    yield Goal("resnet8 W8A8: agreement", best["W8A8"], "top1_agreement", ">=", 0.985)
    yield Goal("resnet8 W8A8: drop", best["W8A8"], "accuracy_drop", "<=", 0.003)
    yield Goal("resnet8 W4A8: drop", best["W4A8"], "accuracy_drop", "<=", 0.010)
    for setting in ("W8A8", "W4A8"):
        yield Goal(f"resnet8 {setting}: integer as fake-quant", best[setting], "integer_agreement", ">=", 0.998)
        yield Goal(f"mnist {setting}: agreement", one("mnist", setting=setting, method="compensate+gptq"), "top1_agreement", ">=", 0.99)
