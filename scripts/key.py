# SPDX-License-Identifier: GPL-2.0
"""Proves from the machine code that functions are called only behind the static key.

Every path through the object is followed, from the entry of every function, with each site of
the key taken as the kernel patches it: first for a key that is off, then for one that is on. The
calls have to be out of reach in the first case, and within reach in the second.
"""
import collections
import dataclasses
import re

import common
from common import Fail
from lab.errors import output

LABEL = re.compile(r'^([0-9a-f]+) <(.+)>:$')
SECTION = re.compile(r'^Disassembly of section (\S+):$')
CODE = re.compile(r'^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*(?:\t(\S+)\s*(.*))?$')
RELOC = re.compile(r'\t[0-9a-f]+: R_X86_64_\w+\s+(\S+?)([+-]0x[0-9a-f]+)?$')
TABLE_ROW = re.compile(r'^([0-9a-f]{16}) R_X86_64_\w+\s+(\S+?)([+-]0x[0-9a-f]+)?$')
NO_FALL_THROUGH = re.compile(r'^(jmp|ret|ud2|iret|hlt)')
PREFIXES = ('notrack', 'bnd', 'cs', 'ds', 'lock', 'rep', 'repz')

# What the page allocator calls on its hot paths, and the key that guards it.
CALLS = ('__page_reporting_freed', '__page_reporting_taken', '__page_reporting_left', '__page_reporting_merged')
KEY = 'page_reporting_enabled'


def objdump(path, *flags):
    return output(f'lint key: {path}', ['objdump', *flags, path], env=common.clean_env()).split('\n')


@dataclasses.dataclass
class Instruction:
    """What the walk needs to know of one instruction."""
    name: str
    operands: str
    symbol: str = ''        # what a relocation makes it refer to
    addend: int = 0
    next: tuple = None


class Object:
    """An object file as a graph of instructions."""

    def __init__(self, path):
        self.code, self.labels, self.entries = {}, {}, {}
        self.path = path
        self._read_code(objdump(path, '-dr', '-w', '-z'))
        if '__jump_table' not in '\n'.join(objdump(path, '-h')):
            raise Fail('lint key', f'{path} has no jump table', 'set CONFIG_JUMP_LABEL=y')
        self.sites = list(self._read_sites(objdump(path, '-r', '-j', '__jump_table')))

    def _read_code(self, lines):
        section = last = None
        for line in lines:
            if match := SECTION.match(line):
                section, last = match[1], None
            elif match := LABEL.match(line):
                self.labels[match[2]] = place = (section, int(match[1], 16))
                if '.cold' not in match[2]:
                    self.entries[match[2]] = place
            elif section and (match := CODE.match(RELOC.sub('', line).rstrip())):
                last = self._add(section, match, last)
                if match := RELOC.search(line):
                    self.code[last].symbol, self.code[last].addend = match[1], int(match[2] or '0', 16)

    def _add(self, section, match, last):
        place = (section, int(match[1], 16))
        words = (match[3] or '').split() + (match[4] or '').split()
        while len(words) > 1 and words[0].split(',')[0] in PREFIXES:
            words.pop(0)
        self.code[place] = Instruction(words[0] if words else '', ' '.join(words[1:]))
        if last:
            self.code[last].next = place
        return place

    def _read_sites(self, lines):
        """(key, branch, site, target) of every row of the jump table."""
        rows = {int(m[1], 16): (m[2], int(m[3] or '0', 16)) for m in map(TABLE_ROW.match, lines) if m}
        for start in range(0, max(rows, default=-1) + 1, 16):
            key, flags = rows[start + 8]
            yield key, flags & 1, self.place(*rows[start]), self.place(*rows[start + 4])

    def place(self, symbol, offset):
        section, base = self.labels.get(symbol, (symbol, 0))
        return section, base + offset

    def jump_target(self, place):
        """Where a jump leads; None for another object or a computed address."""
        code = self.code[place]
        if code.symbol:
            target = self.place(code.symbol, code.addend + 4)
            return target if target in self.code else None
        match = re.match(r'([0-9a-f]+) <', code.operands)
        return (place[0], int(match[1], 16)) if match else None

    def successors(self, place, sites):
        if place in sites:
            return sites[place]
        code = self.code[place]
        found = [] if NO_FALL_THROUGH.match(code.name) else [code.next]
        if code.name.startswith('j'):
            found.append(self.jump_target(place))
        return [p for p in found if p]

    def reachable(self, key, enabled):
        """All places that some function can get to, with the key off or on."""
        sites = {}
        for name, branch, site, target in self.sites:
            jumps = (enabled != bool(branch),) if name == key else (False, True)
            sites[site] = [target if jump else self.code[site].next for jump in jumps]
        seen, queue = set(), collections.deque(self.entries.values())
        while queue:
            place = queue.popleft()
            if place not in seen and place in self.code:
                seen.add(place)
                queue.extend(self.successors(place, sites))
        return seen

    def function_at(self, place):
        names = [(p[1], n) for n, p in self.labels.items() if p[0] == place[0] and p[1] <= place[1]]
        return max(names)[1]


def problems(obj, calls=CALLS, key=KEY):
    """Calls that are not guarded by the key, and functions of which there is none."""
    sites = [site for name, _, site, _ in obj.sites if name == key]
    if not sites:
        return [f'{obj.path}: the jump table has no entry for {key}']
    off, on, found = obj.reachable(key, False), obj.reachable(key, True), []
    for call in calls:
        places = [p for p, code in obj.code.items() if code.symbol == call]
        found += [] if places else [f'{obj.path}: {call} is never called']
        found += [f'{obj.path}: {call} is reached with {key} off, in {obj.function_at(p)}' for p in places if p in off]
        found += [f'{obj.path}: {call} is out of reach even with {key} on, in {obj.function_at(p)}'
                  for p in places if p not in on]
    return found
