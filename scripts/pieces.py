# SPDX-License-Identifier: GPL-2.0
"""The pieces of a file, by name: functions, types, variables, macros and DOC comments of C, chapters of rst.

A step of the series can take some pieces of a file that an earlier step took. Which lines these are
is found out from the file as it is, so that a step does not change when a piece does. Functions,
variables and macros have their names, others are DOC:model, type:page_reporting_pass, <linux/mm.h>.
"""
import dataclasses
import re

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)
QUOTED = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'')
DOC = re.compile(r'DOC: (\S+)')
TYPE = re.compile(r'(?:struct|enum|union) (\w+)\s*\{')
ATTRIBUTE = re.compile(r'\b__[a-z]+\([\d, ]+\)\s+')
# What a macro declares or marks: its first argument
MACRO = re.compile(r'(?:static )?[A-Za-z]\w*\(\s*(\w+)')
FUNCTION = re.compile(r'([A-Za-z_]\w*)\s*\(')
VARIABLE = re.compile(r'(\w+)\s*(?:\[[^\]]*\]\s*)*(?:=|;)')
# A case of KUnit goes with its function.
CASE = r'^\tKUNIT_CASE(?:_\w+)?\(\s*{}\b[^;]*?\),\n'


@dataclasses.dataclass
class Piece:
    """Lines of a file, with the comment above them; the name is '' where it has none."""
    name: str
    first: int
    end: int


def blank(text):
    """The same text without what is in comments and quotes, line by line."""
    def spaces(match):
        return re.sub(r'[^\n]', ' ', match[0])
    quotes = QUOTED.sub(lambda match: 'q' * len(match[0]), text) if '/*' not in text else text
    return QUOTED.sub(lambda match: 'q' * len(match[0]), COMMENT.sub(spaces, quotes))


def name_of(code, text):
    """What a piece declares or defines, from its code without comments, and its text."""
    code = ATTRIBUTE.sub('', code.strip())
    if not code:
        match = DOC.search(text)
        return f'DOC:{match[1]}' if match else ''
    if code.startswith('#'):
        include = re.match(r'#\s*include\s+([<"]\S+[>"])', text.strip().split('\n')[-1])
        define = re.match(r'#\s*define\s+(\w+)', code)
        return include[1] if include else define[1] if define else ''
    for pattern in (MACRO, TYPE):
        if match := pattern.match(code) or (pattern is TYPE and re.match(r'(?:static |const )*' + TYPE.pattern, code)):
            return f'type:{match[1]}' if pattern is TYPE else match[1]
    head = re.split(r'[={]', code, maxsplit=1)[0]
    if match := FUNCTION.search(head):
        return match[1]
    match = VARIABLE.search(code)
    return match[1] if match else ''


def chapters_of(lines):
    """Those of a file in reStructuredText: a title underlined by =, and all up to the next one."""
    starts = [number for number, line in enumerate(lines[:-1]) if line.strip() and re.fullmatch('={3,}', lines[number + 1])
              and not (number and lines[number - 1].strip()) and not re.match(r'[=\s]', line)]
    return [Piece(re.sub(r'\W+', '_', lines[first].strip()), first, end)
            for first, end in zip(starts, starts[1:] + [len(lines)])]


def pieces_of(text):
    """The pieces of a file, in order."""
    if text.startswith('.. SPDX'):
        return chapters_of(text.splitlines())
    lines, bare = text.splitlines(), blank(text).splitlines()
    found, first, number, depth = [], None, 0, 0
    while number < len(lines):
        line, code = lines[number], bare[number]
        if first is None and not line.strip():
            number += 1
            continue
        first = number if first is None else first
        if not code.startswith('#'):
            depth += code.count('{') + code.count('(') - code.count('}') - code.count(')')
        ended = False
        if next(filter(str.strip, bare[first:number + 1]), '').startswith('#'):
            ended = not code.rstrip().endswith('\\')
        elif code.startswith('#'):
            pass        # in a function
        elif depth == 0 and code.rstrip().endswith((';', '}')):
            ended = True
        elif not ''.join(bare[first:number + 1]).strip():     # a comment so far: of what comes next, if it touches it
            ended = line.rstrip().endswith('*/') or line.startswith('//')
            ended = ended and (number + 1 == len(lines) or not lines[number + 1].strip())
        number += 1
        if ended:
            code = '\n'.join(bare[first:number])
            found.append(Piece(name_of(code, '\n'.join(lines[first:number])), first, number))
            first, depth = None, 0
    if first is not None:
        found.append(Piece('', first, len(lines)))
    return found


def names(text):
    return {piece.name for piece in pieces_of(text) if piece.name}


def without(text, wanted):
    """The text without the pieces of these names."""
    lines, gone = text.splitlines(keepends=True), set()
    for piece in pieces_of(text):
        if piece.name in wanted:
            gone |= set(range(piece.first, piece.end))
            before = piece.first == 0 or not lines[piece.first - 1].strip() or piece.first - 1 in gone
            after = piece.end < len(lines) and not lines[piece.end].strip()
            if before and after:
                gone.add(piece.end)
    left = ''.join(line for number, line in enumerate(lines) if number not in gone)
    for name in wanted:
        left = re.sub(CASE.format(re.escape(name)), '', left, flags=re.M)
    return left.rstrip('\n') + '\n'
