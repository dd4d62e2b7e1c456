"""Results of methods.py as Markdown, and as goals met or missed."""
from methods_rows import OUTLIER_SETTINGS, OUTLIER_TRANSFORMS, YARDSTICK, W, all_rows, goals

DASH = "–"
COSTS_OF = "W4 g32 sym"  # seconds and memory of a method are those of this setting


def number(x, digits=3):
    """So many digits, no exponent."""
    if x is None:
        return DASH
    text = f"{x:.{digits}g}"
    return f"{x:.7f}".rstrip("0") if "e" in text else text


def lines(head, body):
    return "\n".join(["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body]]) + "\n"


def figure(results, row, key):
    return results.get(row.id, {}).get(key)


def rows_of(table):
    return [row for row in all_rows() if row.table == table]


def named(row):
    return " ".join([f"`{row.method}`", *(f"`{o}`" for o in row.options if o.startswith("-"))]) if row.options else f"`{row.method}`"


# ---- tables ----

def costs(result):
    return [f"{result['cpu_seconds']:.0f}", f"{result['peak_bytes'] / 1e6:.0f}"]


def failed(result):
    return result is None or "error" in result


def language_table(results):
    """One line for each method, the best of a setting in bold."""
    settings = list(W)
    methods = list(dict.fromkeys((row.method, row.options) for row in rows_of("tinylm")))
    by = {(row.setting, row.method, row.options): results.get(row.id) for row in rows_of("tinylm")}
    least = {s: min((r["kl_mean"] for (at, _, _), r in by.items() if at == s and not failed(r)), default=None) for s in settings}
    body = []
    for method, options in methods:
        cells, of_cost = [], by.get((COSTS_OF, method, options))
        for s in settings:
            r = by.get((s, method, options))
            if failed(r):
                cells.append("")
                continue
            text = number(r["kl_mean"])
            cells.append(f"**{text}**" if r["kl_mean"] == least[s] else text)
        if any(cells):
            body.append([" ".join([f"`{method}`", *(f"`{o}`" for o in options)]), *cells, *(["", ""] if failed(of_cost) else costs(of_cost))])
    return lines(["method", *settings, "CPU s", "peak MB"], body)


def preset_table(results):
    body = []
    for row in rows_of("tinylm presets"):
        r = results.get(row.id)
        if failed(r):
            continue
        body.append([f"`{row.setting}`", number(r["bits_per_weight"], 4), f"{r['container_bytes'] / 1e6:.2f}", number(r["kl_mean"]),
                     f"{100 * r['top1_agreement']:.2f}", *costs(r)])
    return lines(["preset", "bits/weight", "MB", "KL", "agreement %", "CPU s", "peak MB"], body)


def draw_table(results, table, key, scale=1.0):
    groups = {}
    for row in rows_of(table):
        value = figure(results, row, key)
        if value is not None:
            groups.setdefault((row.setting, row.method), []).append(scale * value)
    body = [[setting, f"`{method}`", *(number(v, 4) for v in values), f"{100 * (max(values) - min(values)) / (sum(values) / len(values)):.1f} %"]
            for (setting, method), values in groups.items() if len(values) == 3]
    return lines(["setting", "method", "draw 1", "draw 2", "draw 3", "spread"], body)


def yardstick_table(results):
    body = []
    for row in rows_of("yardstick"):
        kl = figure(results, row, "kl_mean")
        if kl is None:
            continue
        theirs = YARDSTICK[row.setting][row.method == "mse"]
        body.append([f"`{row.method}`", row.setting, number(theirs, 4), number(kl, 4), f"{100 * (kl / theirs - 1):+.1f} %"])
    return lines(["method", "setting", "reference", "here", "difference"], body)


def outlier_label(transform):
    return f"`{transform[:-1]}`" if transform else "none"


def outlier_table(results):
    by = {(row.model, row.setting, row.method): figure(results, row, "kl_mean") for row in rows_of("outliers")}
    body = []
    for transform in OUTLIER_TRANSFORMS:
        cells = []
        for setting, (_, rounding) in OUTLIER_SETTINGS.items():
            plain, outliers = (by.get((model, setting, transform + rounding)) for model in ("tinylm", "outliers"))
            cells += [number(plain), number(outliers)]
        body.append([outlier_label(transform), *cells])
    return lines(["transform", *(f"{s}, {m}" for s in OUTLIER_SETTINGS for m in ("plain", "outliers"))], body)


def cnn_table(results, table):
    body = []
    for row in rows_of(table):
        r = results.get(row.id)
        if failed(r):
            continue
        integer = r.get("integer_agreement")
        body.append([row.setting, named(row) if not row.options else f"`{' '.join(row.options)}`", f"{100 * r['top1_agreement']:.2f}",
                     f"{100 * r['accuracy_drop']:+.2f}", f"{100 * integer:.2f}" if integer is not None else "", *costs(r)])
    what = "activations" if table == "resnet8 activations" else "method"
    return lines(["setting", what, "agreement %", "drop, points", "integer as fake-quant %", "CPU s", "peak MB"], body)


def tables(results):
    """name -> Markdown; the names stand in docs/methods.md."""
    return {
        "language": language_table(results),
        "presets": preset_table(results),
        "draws": draw_table(results, "tinylm draws", "kl_mean"),
        "yardstick": yardstick_table(results),
        "outliers": outlier_table(results),
        "resnet8": cnn_table(results, "resnet8"),
        "activations": cnn_table(results, "resnet8 activations"),
        "cnn draws": draw_table(results, "resnet8 draws", "top1_agreement", 100.0),
        "mnist": cnn_table(results, "mnist"),
    }


# ---- goals ----

def met(goal, value):
    if goal.op == "near":
        return abs(value - 1) <= goal.bound
    return value <= goal.bound if goal.op == "<=" else value >= goal.bound


def goals_met(results):
    """Prints each goal; False when one is missed or was not run."""
    missed = 0
    for goal in goals():
        value = results.get(goal.row, {}).get(goal.figure)
        over = results.get(goal.over, {}).get(goal.figure) if isinstance(goal.over, str) else goal.over
        wanted = f"within {100 * goal.bound:.0f} %" if goal.op == "near" else f"{goal.op} {goal.bound}"
        if value is None or (goal.over is not None and over is None):
            missed += 1
            print(f"{goal.text:60} not run   goal {wanted}")
            continue
        value = value / over if goal.over is not None else value
        missed += not met(goal, value)
        print(f"{goal.text:60} {value:8.5f}   goal {wanted}{'' if met(goal, value) else '   MISSED'}")
    print(f"{missed} of {len(list(goals()))} missed or not run")
    return missed == 0
