#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Write the tables of README.md, docs/, the operator's guide and the cover letters from the bench's results.json.

A table stands between "results: NAME" and "results: end", in comments of Markdown or reStructuredText. Also what
scripts/lint looks for in tables and links.
"""
import argparse
import json
import re
import textwrap

import common
from common import REPO, Fail, say
from lab import bench_plan, bench_results

RESULTS = REPO / 'tools' / 'testing' / 'page_reporting' / 'results' / 'bench' / 'results.json'
TEXTS = ('*.md', 'docs/*.md', 'Documentation/admin-guide/mm/free_page_reporting.rst', 'series/cover-letter*')
MARKDOWN = re.compile(r'(?P<head><!-- results: (?P<name>[\w-]+)[^\n]*-->\n)(?P<body>.*?)(?P<end><!-- results: end -->)',
                      re.S)
REST = re.compile(r'(?P<head>^\.\. results: (?P<name>(?!end\b)[\w-]+)[^\n]*\n)(?P<body>.*?)'
                  r'(?P<end>^\.\. results: end\n)', re.S | re.M)
# What begins the name of a file in our texts; build/ has what is made later.
FOLDERS = ('bases', 'compat', 'configs', 'docs', 'Documentation', 'hooks', 'include', 'mm', 'samples', 'scripts',
           'series', 'tools')
COMMIT = re.compile(r'\bcommit `?([0-9a-f]{7,40})\b')
NO_ROW = 'not measured'
NO_SPREAD = 'no verdict'

# What each short table shows: scenario/variant/figure, and the words for it.
SUMMARY = (
    ('release/4g/t90_s', '3 of 4 GiB freed: 90 % back on the host after'),
    ('release/4g/t99_s', 'the same: 99 % after'),
    ('flush/snapshot-5s/rss_at_pause_mib', '3 GiB freed, paused after 5 s (ours: after a flush): resident'),
    ('churn/4k-512m-0.5s/settled_short_refault_pct', '512 MiB in 4 KiB pages, used again after 0.5 s: refaulted'),
    ('churn/tmpfs-256m-0.5s/settled_short_refault_pct', '256 MiB in tmpfs, used again after 0.5 s: refaulted'),
    ('churn/512m-10s/mean_rss_mib', '512 MiB, used again after 10 s: mean resident'),
    ('hostpages/128k-of-each-mib/lost_huge_mib', '128 KiB of each MiB freed: host huge pages lost'),
    ('scale/256g/idle_pass_insns', 'pass with nothing to report, 256 GiB'),
    ('scale/256g/max_irqsoff_us', 'longest time with interrupts off, 256 GiB'),
    ('hotpath/order10-1cpu-device/insns_per_pair', 'allocate and free 4 MiB'),
)
CHURN = ('512m-0.9s', '512m-10s', '512m-30s')
FRAGMENT = ('default-thp-madvise', 'order9-thp-madvise', 'order2-thp-madvise', 'order9-thp-always', 'order2-thp-always')
DEFAULT_ORDER = 9       # of x86-64
SNAPSHOT = {'nothing': 'nothing', 'flush': 'flush, ``all``', 'compact': 'flush, ``compact``',
            'zero': 'all free memory cleared'}
SNAPSHOT_FIGURES = {'size_mib': 'file', 'used_mib': 'in use', 'size_per_used': 'file per use',
                    'resident_mib': 'resident', 'prepare_s': 'to prepare', 'write_s': 'to write'}
CACHE = {'nothing': 'nothing', 'drop-caches': '``drop_caches`` once', 'reclaim-psi': '``memory.reclaim``, see below',
         'damon-60s': 'DAMON_RECLAIM, 60 s', 'damon-1s': 'DAMON_RECLAIM, 1 s', 'mglru-min-ttl': 'MGLRU, ``min_ttl_ms``'}
CACHE_FIGURES = {'rested_mib': 'resident', 'rest_cpu_s': 'CPU', 'read_s': 'second', 'read_again_s': 'third',
                 'disk_mib': 'from disk', 'refaulted_mib': 'refaulted'}
COST = (
    ('hotpath/order0-1cpu-device/insns_per_pair', 'allocate and free 4 KiB'),
    ('hotpath/order9-1cpu-device/insns_per_pair', 'allocate and free 2 MiB'),
    ('hotpath/order10-1cpu-device/insns_per_pair', 'allocate and free 4 MiB'),
    ('hotpath/order10-1cpu-nodevice/insns_per_pair', 'the same, without a device'),
    ('scale/4g/idle_pass_insns', 'a pass with nothing to report, 4 GiB'),
    ('scale/256g/idle_pass_insns', 'the same, 256 GiB'),
    ('scale/4g/one_block_pass_insns', 'a pass that reports one block, 4 GiB'),
    ('scale/256g/one_block_pass_insns', 'the same, 256 GiB'),
)
# The same, short enough for a line of mail
COVER = (
    ('release/4g/t90_s', '3 of 4 GiB freed: 90 % back after'),
    ('flush/snapshot-5s/rss_at_pause_mib', 'freed, paused 5 s later: resident [1]'),
    ('churn/512m-0.9s/settled_refault_pct', '512 MiB every 0.9 s: refaulted'),
    ('churn/4k-512m-0.5s/settled_short_refault_pct', 'the same in 4 KiB, every 0.5 s'),
    ('churn/tmpfs-256m-0.5s/settled_short_refault_pct', '256 MiB of tmpfs, every 0.5 s'),
    ('churn/512m-10s/mean_rss_mib', '512 MiB every 10 s: mean resident'),
    ('hostpages/128k-of-each-mib/lost_huge_mib', 'huge pages that the host lost'),
    ('pack/3-guests/peak_mib', 'three guests: resident at most'),
    ('build/c-compile/run_s', 'compilation: run time'),
    ('scale/256g/idle_pass_insns', 'pass, nothing to do, 256 GiB'),
    ('scale/4g/one_block_pass_insns', 'pass, one block, 4 GiB'),
    ('scale/256g/max_irqsoff_us', 'interrupts off at most, 256 GiB'),
    ('hotpath/order0-1cpu-device/insns_per_pair', 'allocate and free, order 0'),
    ('hotpath/order9-1cpu-device/insns_per_pair', 'the same, order 9'),
    ('hotpath/order10-1cpu-device/insns_per_pair', 'the same, order 10'),
)


class Results:
    """results.json: its rows by scenario, variant and figure."""

    def __init__(self, path=RESULTS):
        try:
            values = json.loads(path.read_text(encoding='utf-8'))
            self.meta, self.rows = values['meta'], values['rows']
        except (FileNotFoundError, ValueError, KeyError) as error:
            raise Fail('read the results', f'{path}: {error!r}', "put there what 'make bench' wrote") from None
        self._by_name = {f"{row['scenario']}/{row['variant']}/{row['figure']}": row for row in self.rows}

    def row(self, name):
        """The row of that name, or None; Fail if the bench knows no such figure."""
        known = (f'{variant.scenario}/{variant.name}/{figure.name}' for variant in bench_plan.VARIANTS
                 for figure in variant.figures)
        if name not in self._by_name and name not in known:
            raise Fail('write the tables', f'{name}: the bench has no such figure', 'see lab/bench_plan.py')
        return self._by_name.get(name)

    def source(self):
        """In one sentence, where the figures are from."""
        meta = self.meta
        thp = f", huge pages of the host: {meta['host_thp']}" if meta.get('host_thp') else ''
        return (f"`make bench` of {meta['date'][:10]} at commit {meta['commit'][:12]}, up to {meta['repeat']} runs of "
                f"each kernel: {meta['qemu'].replace(' emulator version', '')}, {meta['accel'].upper()}, {meta['cpus']} "
                f"CPUs{thp}, base {meta['base']}.")


def value(row, column):
    """A value with its unit, or a dash."""
    if row is None or row[column] is None:
        return '-'
    unit = {'instructions': 'instr.'}.get(row['unit'], row['unit'])
    return f"{bench_results.number(row[column])} {unit}".rstrip()


def verdict(row):
    """In one word, how ours compares."""
    if row is None or row['stock'] is None or row['ours'] is None:
        return NO_ROW
    return bench_results.verdict(row) or ('same' if row['stock'] == row['ours'] else NO_SPREAD)


def named(results, names):
    """The cells of a table of figures that are given by name."""
    found = [(words, results.row(name)) for name, words in names]
    return [[words, value(row, 'stock'), value(row, 'ours'), verdict(row)] for words, row in found]


def summary(results):
    return markdown(['', 'stock', 'ours', 'ours is'], named(results, SUMMARY)) + '\n' + wrap(results.source())


def everything(results):
    """Each scenario's rows, with what they come to first."""
    words = [verdict(row) for row in results.rows]
    counts = ', '.join(f'{words.count(word)} {word}' for word in ('better', 'same', 'worse', NO_SPREAD, NO_ROW))
    worse = [' '.join(row[key] for key in ('scenario', 'variant', 'figure')) for row in results.rows
             if verdict(row) == 'worse']
    text = wrap(results.source()) + '\n' + wrap(f'{len(words)} figures: {counts}.')
    text += '\n' + wrap('Worse than stock: ' + ('; '.join(worse) or 'none') + '.')
    head = ['variant', 'figure', 'stock', 'ours', 'off', 'ratio', 'spread', 'ours is']
    for scenario in dict.fromkeys(row['scenario'] for row in results.rows):
        rows = [row for row in results.rows if row['scenario'] == scenario]
        text += f'\n### {scenario}\n\n' + markdown(head, [full_cells(row) for row in rows])
    return text


def full_cells(row):
    ratio = '-' if row['ratio'] is None else f"{row['ratio']:.3f}"
    spread = '-' if row['spread_pct'] is None else f"{row['spread_pct']:.1f} %"
    return [row['variant'], row['figure'], *(value(row, column) for column in ('stock', 'ours', 'off')), ratio, spread,
            verdict(row)]


def churn(results):
    """The guide's table of what is refaulted, by the pause between two uses."""
    def cells(variant, figure, columns):
        row = results.row(f'churn/{variant}/{figure}')
        return [value(row, column) for column in columns]
    head = ['pause', 'refaulted', 'the same, stock', 'resident', 'the same, stock', 'reporting off']
    return rest(head, [[variant.split('-')[1].replace('s', ' s'),
                        *cells(variant, 'settled_refault_pct', ('ours', 'stock')),
                        *cells(variant, 'mean_rss_mib', ('ours', 'stock', 'off'))] for variant in CHURN])


def fragment(results):
    """The guide's table of resident memory by order, while every other MiB is free, and then all."""
    def cells(variant):
        steps = ('touched_mib', 'half_released_mib', 'all_released_mib')
        return [value(results.row(f'fragment/{variant}/{step}'), 'ours') for step in steps]
    how = {variant.name: variant.workload[1] for variant in bench_plan.VARIANTS if variant.scenario == 'fragment'}
    return rest(['order', 'transparent_hugepage', 'after', 'full', 'half given back', 'all given back'],
                [[str(how[name]['order'] or DEFAULT_ORDER), how[name]['thp'], f"{how[name]['wait_s']} s", *cells(name)]
                 for name in FRAGMENT])


def by_variant(results, scenario, words, columns):
    """A table with a row for each variant of a scenario, and a column for each of its figures, of our kernel."""
    return rest(['', *columns.values()],
                [[text, *(value(results.row(f'{scenario}/{variant}/{figure}'), 'ours') for figure in columns)]
                 for variant, text in words.items()])


def cost(results):
    return rest(['what is counted', 'stock', 'here', 'here it is'], named(results, COST))


def cover(results):
    """For a cover letter: plain text, in lines that a mail can quote."""
    cells = [['', 'base', 'here', 'here it is'], *named(results, COVER)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    table = ''.join(f"  {row[0].ljust(widths[0])}  " + '  '.join(cell.rjust(width) for cell, width in
                                                               zip(row[1:], widths[1:])) + '\n' for row in cells)
    meta = results.meta
    return table + '\n' + wrap(
        f"[1] here after a flush. Medians of up to {meta['repeat']} runs of each kernel, Linux {meta['base']}, "
        f"{meta['qemu'].replace(' emulator version', '')}, {meta['accel'].upper()}, {meta['cpus']} CPUs, "
        f"{meta['date'][:10]}", 72)


def source(results):
    """For the guide: a kernel's document names no commit of another repository."""
    meta = results.meta
    qemu = meta['qemu'].replace(' emulator version', '')
    return wrap(f"Medians of {meta['repeat']} runs, Linux {meta['base']}, {qemu}, {meta['accel'].upper()}, "
                f"{meta['date'][:10]}.", 80)


TABLES = {'summary': summary, 'all': everything, 'churn': churn, 'fragment': fragment, 'cost': cost, 'source': source,
          'cover': cover, 'snapshot': lambda results: by_variant(results, 'snapshot', SNAPSHOT, SNAPSHOT_FIGURES),
          'cache': lambda results: by_variant(results, 'cache', CACHE, CACHE_FIGURES)}


def markdown(head, rows):
    return ''.join(f"| {' | '.join(cells)} |\n" for cells in (head, ['---'] * len(head), *rows))


def rest(head, rows):
    """A simple table of reStructuredText."""
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    bar = '  '.join('=' * width for width in widths)
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in (head, *rows)]
    return '\n'.join([bar, lines[0], bar, *lines[1:], bar]) + '\n'


def wrap(text, width=120):
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False) + '\n'


def fill(text, results):
    """The text with each of its tables as the results have it."""
    def table(match):
        if match['name'] not in TABLES:
            raise Fail('write the tables', f"results: {match['name']}: no such table",
                       f"there are: {', '.join(TABLES)}")
        gap = '\n' if match['head'].startswith('..') else ''
        return f"{match['head']}{gap}{TABLES[match['name']](results)}{gap}{match['end']}"
    return REST.sub(table, MARKDOWN.sub(table, text))


def texts(repo=REPO):
    return sorted(path for pattern in TEXTS for path in repo.glob(pattern))


def stale_commits(text, results):
    """The commits that the text names and that are not the one of the results: figures of another day."""
    return [name for name in COMMIT.findall(text) if not results.meta['commit'].startswith(name)]


def check(repo=REPO, results=None):
    """What differs, one line each."""
    results, lines, tables = results or Results(), [], 0
    for path in texts(repo):
        text, name = path.read_text(encoding='utf-8'), path.relative_to(repo)
        tables += len(MARKDOWN.findall(text)) + len(REST.findall(text))
        if fill(text, results) != text:
            lines.append(f"{name}: a table differs from results.json: run scripts/texts.py")
        lines += [f'{name}: commit {commit} is not that of results.json' for commit in stale_commits(text, results)]
    return lines if tables else [*lines, 'no text has a table of results']


# Links

def dead_links(path, roots):
    """What a file in Markdown names and is not there, one line each; names of files are below one of `roots`."""
    text, lines = path.read_text(encoding='utf-8'), []
    for target in re.findall(r'\]\((?!https?:)([^)\s]+)\)', text):
        name, _, anchor = target.partition('#')
        place = path.parent / name if name else path
        if not place.exists():
            lines.append(f'link to {target}: no such file')
        elif anchor and anchor not in anchors(place):
            lines.append(f'link to {target}: no such heading')
    lines += [f'{name}: no such file' for name in re.findall(rf'`((?:{"|".join(FOLDERS)})/[\w./*-]*)`', text)
              if not any(any(root.glob(name.rstrip('/'))) for root in roots)]
    code = '\n'.join(re.findall(r'^    .*$|`[^`\n]+`', text, re.M))
    named = ' '.join(re.findall(r'\bmake((?: [a-z][a-z-]+\b(?!=))+)', code)).split()
    targets = re.findall(r'^([a-z][a-z-]*):', (REPO / 'Makefile').read_text(encoding='utf-8'), re.M)
    return lines + [f'make {target}: no such target' for target in named if target not in targets]


def anchors(path):
    """The headings of a file in Markdown, as links name them."""
    titles = re.findall(r'^#+ (.*)$', path.read_text(encoding='utf-8'), re.M)
    return {re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-') for title in titles}


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    results = Results()
    for path in texts():
        text = path.read_text(encoding='utf-8')
        filled = fill(text, results)
        if filled != text:
            common.write_atomic(path, filled.encode())
            say(f'texts: {path.relative_to(REPO)}')
        for commit in stale_commits(filled, results):
            say(f'texts: {path.relative_to(REPO)} names commit {commit}, which is not that of results.json')


if __name__ == '__main__':
    common.run_main('texts', main)
