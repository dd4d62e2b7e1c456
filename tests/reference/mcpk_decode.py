#!/usr/bin/env python3
"""A reader of containers, written from docs/container.md alone. Standard library only.

    mcpk_decode.py FILE             name, form, shape and SHA-256 of the decoded f32 of every weight
    mcpk_decode.py FILE NAME        the decoded f32 of one weight, little-endian, to standard output
    mcpk_decode.py --all FILE       the same for all weights that have a conversion, one after the other
    mcpk_decode.py --sites FILE     a line for each record of the sites section, and one for the KV cache
    mcpk_decode.py --check FILE     nothing but whether the file keeps all rules, CRCs included

Weights whose dtype has no conversion print "-" instead of a hash. Ends with status 1 and the reason when the
file breaks a rule. Slow on purpose: every rule stands once, in the document's words.
"""

import hashlib
import json
import math
import struct
import sys
import zlib

MAGIC = b"MCPK\r\n\x1a\n"
NO_WEIGHT = 0xFFFFFFFF

DTYPE_BITS = [0, 32, 16, 16, 64, 8, 8, 8, 8, 8, 6, 6, 4, 8, 8, 8, 16, 16, 32, 32, 64, 64, 64, 4, 4, 2, 2]
SCALE_DTYPES = (1, 2, 3, 5, 7)

NAMES, CRC, MANIFEST, PART, GRAPH, SITES, SIDE = range(1, 8)
REQUIRED, ZLIB, CUTTABLE = 1, 2, 4
(DENSE, CODES, SCALE, ZERO, OFFSET, SUB_SCALE, SUB_OFFSET, SUPER_SCALE, SUPER_OFFSET) = range(1, 10)
PACKED, BASE3 = 0x100, 0x203

TABLES = {
    9: [-1, 1],
    10: [-1, 0, 1],
    11: [-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
         -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
         0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
         0.7229568362236023, 1],
    12: [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
    13: [-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6],
}
TABLE_BITS = {9: 1, 10: 2, 11: 4, 12: 4, 13: 4, 14: 8, 15: 8}


class Refused(Exception):
    pass


def need(condition, text):
    if not condition:
        raise Refused(text)


def ceil_div(a, b):
    return -(-a // b)


# ---- numbers ----

def f32(x):
    """x rounded to binary32. The double that comes in is exact, so this is one rounding."""
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def small_float(byte, mantissa_bits, bias, has_infinity):
    sign = -1.0 if byte >> 7 else 1.0
    exponent = (byte & 0x7F) >> mantissa_bits
    mantissa = byte & ((1 << mantissa_bits) - 1)
    if not has_infinity and byte & 0x7F == 0x7F:
        return float("nan")
    if exponent == 0:
        return sign * mantissa * 2.0 ** (1 - bias - mantissa_bits)
    return sign * (1 + mantissa / (1 << mantissa_bits)) * 2.0 ** (exponent - bias)


def floats(top, mantissa_bits, bias):
    """The numbers -top .. top whose bits, without the sign, count from 0."""
    above = [small_float(byte, mantissa_bits, bias, True) for byte in range(1, top + 1)]
    return [-x for x in reversed(above)] + [0.0] + above


TABLES[14] = floats(0x7E, 3, 7)
TABLES[15] = floats(0x7B, 2, 15)


def from_dtype(dtype, data, n):
    if dtype == 1:
        return list(struct.unpack("<%df" % n, data))
    if dtype == 2:
        return list(struct.unpack("<%de" % n, data))
    if dtype == 3:
        return [struct.unpack("<f", b"\0\0" + data[2 * i:2 * i + 2])[0] for i in range(n)]
    if dtype == 4:
        return [f32(x) for x in struct.unpack("<%dd" % n, data)]
    if dtype == 5:
        return [small_float(b, 3, 7, False) for b in data]
    if dtype == 6:  # an F16 without its lower 8 bits
        return [struct.unpack("<e", bytes((0, b)))[0] for b in data]
    if dtype == 7:
        return [float("nan") if b == 255 else 2.0 ** (b - 127) for b in data]
    return None


def encoded_bytes(encoding, n):
    if 1 <= encoding <= 26:
        return ceil_div(n * DTYPE_BITS[encoding], 8)
    if PACKED < encoding <= PACKED + 8:
        return ceil_div(n * (encoding - PACKED), 8)
    need(encoding == BASE3, "encoding %d is unknown" % encoding)
    return ceil_div(n, 5)


def unpack(encoding, data, n):
    if encoding == BASE3:
        need(max(data) <= 242, "a byte of base 3 above 242")
        digits = [byte // 3 ** k % 3 for byte in data for k in range(5)]
        need(not any(digits[n:]), "elements behind the last one are not zero")
        return digits[:n]
    bits = encoding - PACKED
    stream = int.from_bytes(data, "little")
    mask = (1 << bits) - 1
    codes = []
    for start in range(0, n, 4096):  # shifting the whole stream for each code would be quadratic
        count = min(4096, n - start)
        piece = stream >> (start * bits) & ((1 << (count * bits)) - 1)
        codes += [piece >> (i * bits) & mask for i in range(count)]
    need(stream >> (n * bits) == 0, "bits behind the last element are not zero")
    return codes


# ---- the file ----

class Section:
    def __init__(self, entry):
        (self.offset, self.stored, self.raw, self.weight, self.type, self.role, self.flags, self.encoding,
         self.layout, self.layout_version, spare) = struct.unpack("<QQQIHBBHHHH", entry[:40])
        self.params = struct.unpack("<4I", entry[40:56])
        need(spare == 0 and entry[56:] == bytes(8), "index: an unused field is not zero")


class Weight:
    def __init__(self, record):
        (self.name_at, self.name_bytes, self.first, self.parts, self.form, self.dtype, self.ndim, self.levels,
         self.offset_kind, self.scale_dtype, self.flags, self.sub_bits, spare, self.rows, self.cols,
         self.group) = struct.unpack("<IIIHBBBBBBBBHQQQ", record[:48])
        self.dims = struct.unpack("<8Q", record[48:112])
        self.super = struct.unpack("<I", record[112:116])[0]
        need(spare == 0 and record[116:] == bytes(12), "weight record: an unused field is not zero")
        need(1 <= self.form <= 2, "form %d is unknown" % self.form)
        need(1 <= self.dtype <= 26, "dtype %d is unknown" % self.dtype)
        need(self.ndim <= 8 and not any(self.dims[self.ndim:]), "dimensions")
        product = 1
        for d in self.dims[:self.ndim]:
            product *= d
        need(self.rows * self.cols == product, "rows x columns is not the product of the dimensions")
        if self.form == 1:
            need(record[17:20] == bytes(3) and self.flags & ~8 == 0 and record[21] == 0 and self.group == 0 and self.super == 0, "unused fields")
            need(not self.flags & 8 or self.dtype == 1, "edited numbers that are not F32")
        else:
            self.check_grid()

    def check_grid(self):
        need(1 <= self.levels <= 15, "levels %d are unknown" % self.levels)
        need(self.offset_kind <= 2 and self.flags <= 31, "offset kind or flags are unknown")
        need(not self.flags & 4 or self.ndim >= 2 and self.rows == self.dims[self.ndim - 1], "transposed")
        need(self.scale_dtype in SCALE_DTYPES, "scale dtype %d" % self.scale_dtype)
        need(self.rows * self.cols > 0, "an empty quantized weight")
        need(self.group == 0 or self.cols % self.group == 0, "the group does not divide the columns")
        need(self.sub_bits == 0 and self.super == 0 or 4 <= self.sub_bits <= 8 and self.super > 0,
             "sub-scale bits and super")
        table, symmetric = self.levels > 8, self.levels <= 8 and self.offset_kind == 0
        need(not (table and self.offset_kind == 1), "a table with integer zeros")
        need(not (symmetric and self.levels == 1), "symmetric integers of 1 bit")
        need(symmetric or not self.flags & 1, "a restricted grid that is not symmetric")
        need(self.scale_dtype != 7 or (self.offset_kind != 2 and not self.flags & 2), "F8_E8M0")
        need(not self.flags & 16 or self.scale_dtype == 5 and not self.sub_bits and self.offset_kind != 2,
             "a tensor scale")

    def bits(self):
        return self.levels if self.levels <= 8 else TABLE_BITS[self.levels]

    def groups_of_row(self):
        return self.cols // self.group if self.group else 1

    def supers_of_row(self):
        return ceil_div(self.groups_of_row(), self.super) if self.super else 0

    def needs(self):
        """(role, encoding, elements) of each part, in order."""
        count = self.rows * self.cols
        if self.form == 1:
            return [(DENSE, self.dtype, count)]
        rows = self.rows if self.group else 1
        groups, supers = rows * self.groups_of_row(), rows * self.supers_of_row()
        small, sub = PACKED + self.bits(), PACKED + self.sub_bits
        parts = [(CODES, BASE3 if self.levels == 10 else small, count)]
        if not self.sub_bits:
            parts.append((SCALE, self.scale_dtype, groups))
        if self.offset_kind == 1:
            parts.append((ZERO, small, groups))
        if not self.sub_bits:
            parts += [(OFFSET, self.scale_dtype, groups)] if self.offset_kind == 2 else []
            return parts + ([(SUPER_SCALE, 1, 1)] if self.flags & 16 else [])
        parts.append((SUB_SCALE, sub, groups))
        if self.offset_kind == 2:
            parts.append((SUB_OFFSET, sub, groups))
        parts.append((SUPER_SCALE, self.scale_dtype, supers))
        if self.offset_kind == 2:
            parts.append((SUPER_OFFSET, self.scale_dtype, supers))
        return parts


class Container:
    def __init__(self, file):
        self.file = file
        self.read_front()
        self.read_index()
        self.read_weights()
        self.read_sites()

    def u(self, form, at):
        return struct.unpack_from("<" + form, self.file, at)[0]

    def align_up(self, x):
        return ceil_div(x, self.align) * self.align

    def read_front(self):
        f = self.file
        need(f[:8] == MAGIC, "not a container")
        need(len(f) >= 128, "shorter than the header")
        need(self.u("I", 8) == 0, "version %d" % self.u("I", 8))
        weights, sections, self.align = self.u("I", 32), self.u("I", 48), self.u("I", 84)
        need(self.align in (64, 128, 256, 512, 1024, 2048, 4096), "alignment %d" % self.align)
        index = 128 + 128 * weights
        hashes = index + 64 * sections
        root = hashes + 32 * sections
        self.front = self.align_up(root + 96)
        for form, at, wanted in (("I", 12, 128), ("Q", 24, self.front), ("I", 36, 128), ("Q", 40, 128), ("I", 52, 64),
                                 ("Q", 56, index), ("Q", 64, hashes), ("Q", 72, root), ("I", 80, 32)):
            need(self.u(form, at) == wanted, "header: %d instead of %d at %d" % (self.u(form, at), wanted, at))
        need(self.front <= len(f), "the file ends inside its front")
        need(hashlib.sha256(f[:root]).digest() == f[root:root + 32], "the root does not match")
        need(self.u("I", 88) == 0, "header flags")
        need(f[root + 32:self.front] == bytes(self.front - root - 32), "signature or padding is not zero")
        need(1 <= f[94] <= 16 and f[95] <= 2 and 1 <= f[96] <= 16 and f[97] <= 1, "activation fields")
        need(f[98:104] == bytes(6) and f[104:128] == bytes(24), "header: an unused field is not zero")
        self.records = [f[128 + 128 * i:256 + 128 * i] for i in range(weights)]
        self.sections = [Section(f[index + 64 * i:index + 64 * i + 64]) for i in range(sections)]
        self.hashes = [f[hashes + 32 * i:hashes + 32 * i + 32] for i in range(sections)]

    def read_index(self):
        at = end = self.front
        ends, size = [self.u("Q", 16)], len(self.file)
        for s in self.sections:
            need(s.offset == at, "a section at %d instead of %d" % (s.offset, at))
            end = at + s.stored
            at = self.align_up(end)
            ends.append(end)
            need(end <= size or s.flags & CUTTABLE, "a section ends behind the file")
            self.check_section(s)
        need(end == self.u("Q", 16) and size <= end and size in ends, "the size of the file")
        for kind, least, most in ((NAMES, 1, 1), (CRC, 0, 1), (MANIFEST, 0, 1), (SITES, 0, 1)):
            count = sum(s.type == kind for s in self.sections)
            need(least <= count <= most, "%d sections of type %d" % (count, kind))

    def check_section(self, s):
        if s.type not in (NAMES, CRC, MANIFEST, PART, SITES, SIDE):
            need(not s.flags & REQUIRED, "a required section of unknown type %d" % s.type)
            return
        allowed = {NAMES: 1, CRC: 1, MANIFEST: 3, PART: 3, SITES: 3, SIDE: 7}[s.type]
        need(not s.flags & ~allowed, "flags of a section")
        need(s.layout == 0 and s.layout_version == 0, "layout %d" % s.layout)
        need((s.type == PART) == (s.weight != NO_WEIGHT), "the weight of a section")
        need(s.type == PART or s.role == 0 and s.encoding == 0, "role and encoding without a weight")
        used = {CRC: 1, SIDE: 2}.get(s.type, 0)
        need(not any(s.params[used:]), "an unused parameter is not zero")
        need(s.flags & ZLIB or s.raw == s.stored, "raw and stored bytes differ")

    def bytes_of(self, i):
        """The raw bytes of section i, after its hash was checked."""
        s = self.sections[i]
        stored = self.file[s.offset:s.offset + s.stored]
        need(hashlib.sha256(stored).digest() == self.hashes[i], "section %d does not match its hash" % i)
        if not s.flags & ZLIB:
            return stored
        stream = zlib.decompressobj()
        raw = stream.decompress(stored, s.raw + 1)
        need(stream.eof and len(raw) == s.raw and not stream.unused_data, "section %d is damaged" % i)
        return raw

    def read_weights(self):
        names = self.bytes_of([s.type for s in self.sections].index(NAMES))
        self.weights, self.sides, at, owned = [], [], 0, 0

        def name(offset, length):
            nonlocal at
            need(offset == at and at + length < len(names) and names[at + length] == 0, "the names")
            at += length + 1
            text = names[offset:offset + length]
            need(0 not in text, "a NUL in a name")
            return text.decode("utf-8")

        for i, record in enumerate(self.records):
            w = Weight(record)
            w.name = name(w.name_at, w.name_bytes)
            wanted = w.needs()
            need(w.parts == len(wanted) and w.first + w.parts <= len(self.sections), "%s: parts" % w.name)
            need(not self.weights or w.first == self.weights[-1].first + self.weights[-1].parts, "order of parts")
            for s, (role, encoding, count) in zip(self.sections[w.first:], wanted):
                need((s.type, s.weight, s.role, s.encoding) == (PART, i, role, encoding) and s.flags & REQUIRED,
                     "%s: a part is missing" % w.name)
                need(s.raw == encoded_bytes(encoding, count), "%s: bytes of a part" % w.name)
            owned += w.parts
            self.weights.append(w)
        need(owned == sum(s.type == PART for s in self.sections), "a part without a weight")
        for s in self.sections:
            if s.type == SIDE:
                self.sides.append(name(s.params[0], s.params[1]))
        need(at == len(names), "names that belong to nothing")
        for those in ([w.name for w in self.weights], self.sides):
            need(len(set(those)) == len(those), "two entries of one name")

    # ---- sites ----

    def read_sites(self):
        self.sites, self.cache = [], None
        for i, s in enumerate(self.sections):
            if s.type == SITES:
                self.parse_sites(self.bytes_of(i))

    def parse_sites(self, data):
        need(len(data) >= 32, "sites: shorter than their header")
        (version, records, scales, zeros, name_bytes, group, window, bits, flags,
         spare) = struct.unpack("<7IBBH", data[:32])
        need(version == 1 and spare == 0, "sites: version or an unused field")
        at = 32 + 32 * records
        need(len(data) == at + 4 * scales + 2 * zeros + name_bytes, "sites: their bytes")
        if bits == 0:
            need(group == window == flags == 0, "sites: a KV cache of no bits")
        else:
            need(bits in (2, 3, 4, 5, 6, 7, 8, 16) and group > 0 and flags <= 1, "sites: the KV cache")
            self.cache = (bits, group, window, flags)
            need(self.file[96] == bits, "sites: KV bits of the header")
        scale = struct.unpack_from("<%df" % scales, data, at)
        zero = struct.unpack_from("<%dh" % zeros, data, at + 4 * scales)
        rest = [scale, zero, data[at + 4 * scales + 2 * zeros:]]
        taken = [0, 0, 0]
        for i in range(records):
            self.sites.append(self.site(data[32 + 32 * i:64 + 32 * i], rest, taken))
        need(taken == [len(x) for x in rest], "sites: numbers or names of no record")
        places = [(weight, name) for weight, name, *_ in self.sites]
        need(places == sorted(set(places)), "sites: the order of the records")
        self.check_numerics()

    def site(self, record, rest, taken):
        (weight, name, name_bytes, mode, bits, flags, spare, rotation, scales, first_scale,
         first_zero) = struct.unpack("<3I4B4I", record)

        def take(which, first, n):
            at = taken[which]
            need(first == (at if n else 0) and at + n <= len(rest[which]), "sites: places of a record")
            taken[which] += n
            return rest[which][at:at + n]

        static, asymmetric = mode == 2, flags & 1
        text = take(2, name, name_bytes + 1 if name_bytes else 0)
        need(not text or text[-1:] == b"\0" and 0 not in text[:-1], "sites: a name")
        text[:-1].decode("utf-8")
        need(weight < len(self.weights) or weight == NO_WEIGHT and text, "sites: whose record it is")
        need(mode <= 2 and flags <= 3 and spare == 0, "sites: mode or flags")
        need(bits in (2, 3, 4, 5, 6, 7, 8, 16), "sites: bits")
        need(mode != 0 or bits == 16 and flags == 0, "sites: a grid without codes")
        need(mode == 1 or not flags & 2, "sites: powers of two")
        need((scales > 0) == static, "sites: scales")
        need(rotation == 0 or is_hadamard(rotation), "sites: a rotation of %d" % rotation)
        scale = take(0, first_scale, scales)
        zero = take(1, first_zero, scales if static and asymmetric else 0)
        need(all(0 < x < float("inf") for x in scale), "sites: a scale")
        need(all(-(1 << (bits - 1)) <= z < 1 << (bits - 1) for z in zero), "sites: a zero")
        return weight, text[:-1], mode, bits, flags, rotation, scale, zero

    def check_numerics(self):
        if not self.sites:
            return
        coded = [(mode, bits) for _, _, mode, bits, *_ in self.sites if mode]
        need(self.file[94] == min([b for _, b in coded], default=16), "sites: activation bits of the header")
        need(self.file[95] == max([m for m, _ in coded], default=0), "sites: activation mode of the header")

    # ---- values ----

    def parts_of(self, w):
        """role -> numbers or codes."""
        found = {}
        for i, (role, encoding, count) in enumerate(w.needs()):
            data = self.bytes_of(w.first + i)
            found[role] = (from_dtype if encoding < PACKED else unpack)(encoding, data, count)
            if w.form == 2:
                self.check_contents(w, role, found[role])
        return found

    def check_contents(self, w, role, elements):
        """Step 8 for a part of a quantized weight; unpack() has looked at bytes and bits that mean nothing."""
        if role == CODES and w.levels > 8:
            need(max(elements) < len(TABLES[w.levels]), "%s: code %d" % (w.name, max(elements)))
        if role in (SCALE, OFFSET, SUPER_SCALE, SUPER_OFFSET):
            need(all(math.isfinite(x) for x in elements), "%s: a scale or an offset is not finite" % w.name)
        if role in (SCALE, SUPER_SCALE) and not w.flags & 2:
            need(min(elements) >= 0, "%s: a negative scale" % w.name)

    def scale_and_offset(self, w, part, group):
        """s and m of a group."""
        if w.flags & 16:
            return f32(part[SUPER_SCALE][0] * part[SCALE][group]), None
        if not w.sub_bits:
            return part[SCALE][group], part[OFFSET][group] if OFFSET in part else None
        row, column = divmod(group, w.groups_of_row())
        sup = row * w.supers_of_row() + column // w.super
        s = f32(part[SUPER_SCALE][sup] * part[SUB_SCALE][group])
        if w.offset_kind != 2:
            return s, None
        return s, f32(part[SUPER_OFFSET][sup] * part[SUB_OFFSET][group])

    def values(self, w):
        """f32 of all elements, row-major; None when its dtype has no conversion."""
        part = self.parts_of(w)
        if w.form == 1:
            return part[DENSE]
        table = [f32(x) for x in TABLES[w.levels]] if w.levels > 8 else None
        size = w.group if w.group else w.rows * w.cols
        codes, out = part[CODES], []
        for group in range(len(codes) // size):
            s, m = self.scale_and_offset(w, part, group)
            zero = {0: 1 << (w.bits() - 1), 1: part[ZERO][group] if ZERO in part else 0, 2: 0}[w.offset_kind]
            for u in codes[group * size:(group + 1) * size]:
                v = f32(s * (table[u] if table else float(u - zero)))
                out.append(v if m is None else f32(v + m))
        if w.flags & 4:  # a row of the codes is a column of the tensor
            out = [out[row * w.cols + column] for column in range(w.cols) for row in range(w.rows)]
        return out

    # ---- checks ----

    def check(self):
        entries, table, present = 0, None, []
        for i, s in enumerate(self.sections):
            if s.offset + s.stored > len(self.file):
                continue
            self.bytes_of(i)
            following = self.sections[i + 1].offset if i + 1 < len(self.sections) else s.offset + s.stored
            padding = self.file[s.offset + s.stored:following]
            need(not any(padding), "padding behind section %d" % i)
        for w in self.weights:
            if w.form == 2:
                self.parts_of(w)
        for i, s in enumerate(self.sections):
            if s.type == MANIFEST:
                self.check_manifest(self.bytes_of(i))
        for i, s in enumerate(self.sections):
            if s.type == CRC:
                table = self.bytes_of(i)
                need(s.params[0] == 4096, "chunks of the CRC table")
            else:
                present.append((s, entries))
                entries += ceil_div(s.stored, 4096)
        if table is None:
            return
        need(len(table) == 4 * entries, "bytes of the CRC table")
        for s, first in present:
            if s.offset + s.stored > len(self.file):
                continue
            for k in range(ceil_div(s.stored, 4096)):
                chunk = self.file[s.offset + 4096 * k:min(s.offset + 4096 * (k + 1), s.offset + s.stored)]
                need(crc32c(chunk) == struct.unpack_from("<I", table, 4 * (first + k))[0], "a CRC does not match")

    def check_manifest(self, text):
        try:
            json.loads(text.decode("utf-8"))
        except ValueError:
            raise Refused("the manifest is not JSON")


def is_hadamard(n):
    """Is n a K of the tables times a power of two?"""
    return any(n % k == 0 and (n // k) & (n // k - 1) == 0
               for k in (1, 12, 20, 28, 36, 52, 60, 108, 140, 156, 172))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def write_values(values):
    sys.stdout.buffer.write(struct.pack("<%df" % len(values), *values))


def list_weights(container):
    for w in container.weights:
        values = container.values(w)
        digest = "-"
        if values is not None:
            digest = hashlib.sha256(struct.pack("<%df" % len(values), *values)).hexdigest()
        shape = "x".join(str(d) for d in w.dims[:w.ndim])
        sys.stdout.write("%s\t%s\t[%s]\t%s\n" % (w.name, ("dense", "quantized")[w.form - 1], shape, digest))


def list_sites(container):
    for weight, name, mode, bits, flags, rotation, scale, zero in container.sites:
        owner = "-" if weight == NO_WEIGHT else container.weights[weight].name
        numbers = struct.pack("<%df%dh" % (len(scale), len(zero)), *scale, *zero).hex()
        sys.stdout.write("%s\t%s\t%d\t%d\t%d\t%d\t%s\n" % (owner, name.decode("utf-8") or "-", mode, bits, flags,
                                                        rotation, numbers or "-"))
    if container.cache:
        sys.stdout.write("kv\t%d\t%d\t%d\t%d\n" % container.cache)


def main(arguments):
    option = arguments.pop(0) if arguments[:1] in (["--check"], ["--all"], ["--sites"]) else None
    if not 1 <= len(arguments) <= (1 if option else 2):
        sys.stderr.write(__doc__)
        return 2
    with open(arguments[0], "rb") as file:
        container = Container(file.read())
    if option == "--check":
        container.check()
    elif option == "--sites":
        list_sites(container)
    elif option == "--all":
        for w in container.weights:
            write_values(container.values(w) or [])
    elif len(arguments) == 1:
        list_weights(container)
    else:
        found = [w for w in container.weights if w.name == arguments[1]]
        need(found, "no weight is called %s" % arguments[1])
        values = container.values(found[0])
        need(values is not None, "its dtype has no conversion to f32")
        write_values(values)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (Refused, UnicodeDecodeError, zlib.error) as refusal:
        sys.stderr.write("mcpk_decode: %s\n" % refusal)
        sys.exit(1)
