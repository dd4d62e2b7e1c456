"""Writes core/unicode_categories.c, unicode_parts.c and unicode_marks.c from Python's unicodedata.

    make_unicode_tables.py [CORE_FOLDER]

Needs Unicode 16: Python 3.14, or PyPI's unicodedata2==16.0.0 on an older one. Tokenizers in use speak of several
versions of Unicode at once: patterns of 16, BERT's normalizer of 8, normal forms of 9. The lists below hold the
characters in which the older ones differ; tests/interop compares every character with PyPI's tokenizers.
"""
import os
import sys

try:
    import unicodedata2 as unicode_data
except ImportError:
    import unicodedata as unicode_data

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "core")

# Punctuation, format characters and nonspacing marks that Unicode 8 does not know yet.
AFTER_8 = """61D 7FD 890-891 897-89F 8CA-8E2 9FD-9FE A76 AFA-AFF B55 C04 C3C C77 C84 D00 D3B-D3C D81 EBA ECE 180F
1885-1886 1ABF-1ACE 1B4E-1B4F 1B7D-1B7F 1DF6-1DFB 2E43-2E4F 2E52-2E5D A82C A8C5 A8FF A9BD 10D24-10D27 10D69-10D6E
10EAB-10EAD 10EFC-10EFF 10F46-10F50 10F55-10F59 10F82-10F89 11070 11073-11074 110C2 110CD 111CF 1123E 11241
1133B 113BB-113C0 113CE 113D0 113D2 113D4-113D5 113D7-113D8 113E1-113E2 11438-1143F 11442-11444 11446 1144B-1144F
1145A-1145B 1145D-1145E 11660-1166C 116B9 1182F-11837 11839-1183B 1193B-1193C 1193E 11943-11946 119D4-119D7
119DA-119DB 119E0 119E2 11A01-11A0A 11A33-11A38 11A3B-11A47 11A51-11A56 11A59-11A5B 11A8A-11A96 11A98-11A9C
11A9E-11AA2 11B00-11B09 11BE1 11C30-11C36 11C38-11C3D 11C3F 11C41-11C45 11C70-11C71 11C92-11CA7 11CAA-11CB0
11CB2-11CB3 11CB5-11CB6 11D31-11D36 11D3A 11D3C-11D3D 11D3F-11D45 11D47 11D90-11D91 11D95 11D97 11EF3-11EF4
11EF7-11EF8 11F00-11F01 11F36-11F3A 11F40 11F42-11F4F 11F5A 11FFF 12FF1-12FF2 13430-13440 13447-13455 1611E-16129
1612D-1612F 16D6D-16D6F 16E97-16E9A 16F4F 16FE2 16FE4 1CF00-1CF2D 1CF30-1CF46 1E000-1E006 1E008-1E018 1E01B-1E021
1E023-1E024 1E026-1E02A 1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E5EE-1E5EF 1E5FF 1E944-1E94A 1E95E-1E95F"""
OTHER_IN_8 = {0x166D: "Po", 0x111C9: "Po", 0x1734: "Mn", 0x1171E: "Mn"}

# Characters with a combining class or a decomposition that Unicode 9 does not know yet.
AFTER_9 = """7FD 897-89F 8CA-8D3 9FE C3C D3B-D3C EBA 1715 1ABF-1ACE 1DF6-1DFA A82C 105C9 105E4 10D24-10D27
10D69-10D6D 10EAB-10EAC 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 1133B 11383 11385 1138E 11391 113C5 113C7-113C8
113CE-113D0 1145E 11839-1183A 11938 1193D-1193E 11943 119E0 11A34 11A47 11A99 11D42 11D44-11D45 11D97 11F41-11F42
16121-16128 1612F 16D68-16D6A 16FF0-16FF1 1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E5EE-1E5EF"""

# Lower case since Unicode 15, which str.lower of an older Python lacks: ranges and what is added.
LATER_LOWER = ((0x1C89, 0x1C89, 1), (0xA7CB, 0xA7CB, 0x264 - 0xA7CB), (0xA7CC, 0xA7CC, 1), (0xA7CE, 0xA7CE, 1),
               (0xA7D2, 0xA7D2, 1), (0xA7D4, 0xA7D4, 1), (0xA7DA, 0xA7DA, 1), (0xA7DC, 0xA7DC, 0x19B - 0xA7DC),
               (0x10D50, 0x10D65, 32), (0x16EA0, 0x16EB8, 27))

CATEGORIES = "Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split()
SURROGATES = range(0xD800, 0xE000)
HANGUL = range(0xAC00, 0xD7A4)
DOTTED_I = 0x130  # the only character whose lower case is two: i and U+0307


def members(ranges):
    out = set()
    for item in ranges.split():
        first, _, last = item.partition("-")
        out.update(range(int(first, 16), int(last or first, 16) + 1))
    return out


def categories():
    """Words of 32 bits: first character of a range << 10 | category in Unicode 8 << 5 | category."""
    after_8 = members(AFTER_8)
    out, last = [], None
    for c in range(0x110000):
        now = unicode_data.category(chr(c))
        old = "Cn" if c in after_8 else OTHER_IN_8.get(c, now)
        pair = CATEGORIES.index(old) << 5 | CATEGORIES.index(now)
        if pair != last:
            out.append(c << 10 | pair)
            last = pair
    return out


def decompositions(after_9):
    """Words of 64 bits: composes << 63 | character << 42 | first part << 21 | second part or 0."""
    out = []
    for c in range(0x110000):
        parts = unicode_data.decomposition(chr(c)).split()
        if c in HANGUL or c in SURROGATES or c in after_9 or not parts or parts[0].startswith("<"):
            continue
        first, second = int(parts[0], 16), int(parts[1], 16) if len(parts) > 1 else 0
        whole = unicode_data.normalize("NFC", unicode_data.normalize("NFD", chr(c))) == chr(c)
        out.append(int(whole) << 63 | c << 42 | first << 21 | second)
    return out


def compositions(parts):
    """Places in `parts` of what composes, by first and second part."""
    low = (1 << 42) - 1
    return sorted((i for i, word in enumerate(parts) if word >> 63), key=lambda i: parts[i] & low)


def runs(value_of, step_of):
    """(first, last, value) of characters that follow each other with one value."""
    out = []
    for c in range(0x110000):
        value = value_of(c)
        if not value:
            continue
        if out and out[-1][2] == value and step_of(out[-1], c):
            out[-1][1] = c
        else:
            out.append([c, c, value])
    return out


def lower_delta(c):
    for first, last, delta in LATER_LOWER:
        if first <= c <= last:
            return delta
    low = chr(c).lower()
    return ord(low) - c if c != DOTTED_I and c not in SURROGATES else 0


def lower_runs():
    """first, last, delta, step: every `step`th character from first to last."""
    out = []
    for c in range(0x110000):
        delta = lower_delta(c)
        if not delta:
            continue
        gap = c - out[-1][1] if out else 0
        if out and out[-1][2] == delta and (gap == out[-1][3] or out[-1][0] == out[-1][1] and gap <= 2):
            out[-1][1], out[-1][3] = c, gap
        else:
            out.append([c, c, delta, 1])
    return out


def array(kind, name, items):
    lines, line = ["const %s %s[] = {" % (kind, name)], "   "
    for item in items:
        if len(line) + len(item) + 2 > 100:
            lines.append(line)
            line = "   "
        line += " %s," % item
    count = "const size_t %s_count =\n    sizeof %s / sizeof *%s;" % (name, name, name)
    return "\n".join(lines + [line, "};", count])


def write(folder, name, comment, arrays):
    text = "/* %s\n *\n * Written by tests/reference/make_unicode_tables.py. */\n" % comment
    text += '#include "core/unicode_tables.h"\n\n// clang-format off\n' + "\n\n".join(arrays)
    with open(os.path.join(folder, name), "w", encoding="ascii") as file:
        file.write(text + "\n// clang-format on\n")


def main():
    if unicode_data.unidata_version != "16.0.0":
        sys.exit("make_unicode_tables.py: Unicode %s, not 16.0.0" % unicode_data.unidata_version)
    folder = sys.argv[1] if len(sys.argv) > 1 else FOLDER
    after_9 = members(AFTER_9)
    parts = decompositions(after_9)
    classes = runs(lambda c: 0 if c in after_9 else unicode_data.combining(chr(c)), lambda run, c: run[1] == c - 1)
    write(folder, "unicode_categories.c", "General categories of all characters: Unicode 16, and 8 beside it.",
          [array("uint32_t", "mc_unicode_categories", ["0x%xu" % word for word in categories()])])
    write(folder, "unicode_parts.c", "Canonical decompositions and compositions of Unicode 9.",
          [array("uint64_t", "mc_unicode_parts", ["0x%xu" % word for word in parts]),
           array("uint16_t", "mc_unicode_wholes", [str(i) for i in compositions(parts)])])
    write(folder, "unicode_marks.c", "Combining classes of Unicode 9, lower case of Unicode 17.",
          [array("mc_unicode_class", "mc_unicode_classes", ["{0x%x, 0x%x, %d}" % tuple(run) for run in classes]),
           array("mc_unicode_lower", "mc_unicode_lowers", ["{0x%x, 0x%x, %d, %d}" % tuple(run) for run in lower_runs()])])


main()
