# SPDX-License-Identifier: GPL-2.0
"""The static checks, each on its own: scripts/lint [NAME ...]; all of them without a name."""
import fnmatch
import re
import shutil
import subprocess

import build
import common
import key
import texts
from common import REPO, Fail, say

BUILD = common.build_dir(REPO)
TREE = BUILD / 'tree'
KERNEL_FOLDERS = ('include', 'mm', 'samples', 'tools')
ENGINE = ('mm/page_reporting*.c', 'mm/page_reporting*.h')
DOCUMENTED = (*ENGINE, 'mm/tests/*.[ch]', 'include/linux/page_reporting.h',
              'include/trace/events/page_reporting.h')
WARNING = re.compile(r'(warning|error):', re.I)
ABI_FIELDS = ('Date', 'KernelVersion', 'Contact', 'Description')
# Sphinx's extensions of newer kernels read all ABI entries; check_abi looks at whether one of ours is there twice.
FOREIGN_ABI = re.compile(r'WARNING: /sys/\S.* is defined \d+ times: ')
# Debian 12's, which does not understand newer kernels
OLD_SPARSE = (0, 6, 4)
DEBUG = '-DCONFIG_PAGE_REPORTING_DEBUG=1'
MAX_LINES = 50          # of a function
# The name of the flag in include/trace/events/mmflags.h is the base's own and stays.
TRACE = re.compile(r'page_report(ed|ing)', re.I)

# What checkpatch says without being right, of a file or of a patch, each with the reason.
FALSE_ALARMS = (
    (r'page-flags\S*.*CAMELCASE', 'PAGEFLAG() is given a name in CamelCase by all flags'),
    (r'EMBEDDED_FILENAME', 'sourcing mm/Kconfig.page_reporting names mm/Kconfig; the table of files has its own'),
    (r'page_reporting_device_kunit.c:\d+: WARNING:INCLUDE_LINUX', 'register_nmi_handler() is in asm/nmi.h alone'),
    (r'include/trace/events/\S*: CHECK:(OPEN_ENDED_LINE|PARENTHESIS_ALIGNMENT)',
     'TRACE_EVENT() is laid out as in all headers of events'),
    (r'tools/mm/\S*: WARNING:PREFER_DEFINED_ATTRIBUTE_MACRO', 'tools/mm has no header that defines __printf()'),
    (r'CAMELCASE.*<_*(Set|Clear|TestSet|TestClear)?Page[A-Z]', 'accessors of page flags have such names'),
)


# Tools and files

def run(command, cwd=REPO, **kwargs):
    """(exit status, stdout and stderr together) of a tool that has to be there."""
    if not shutil.which(command[0]):
        raise Fail('run', f'{command[0]} is not installed', "run 'make setup'")
    done = subprocess.run([str(c) for c in command], cwd=cwd, text=True, errors='replace', check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=kwargs.pop('env', common.clean_env()), **kwargs)
    return done.returncode, done.stdout


def findings(command, **kwargs):
    """The output's lines where the tool complains by its exit status."""
    status, text = run(command, **kwargs)
    return (text.strip() or f'exit status {status}').split('\n') if status else []


def ours(*patterns, folders=()):
    names = [n for n in common.our_files(REPO, *folders)
             if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)]
    if not names:
        raise Fail('look for files', 'there is none of ' + ', '.join(patterns))
    return names


def scripts_for(interpreter, suffix):
    """Our files in a language, by the first line or by the name."""
    names = [n for n in common.our_files(REPO)
             if n.endswith(suffix) or re.match(rf'#!.*\b{interpreter}', first_line(REPO / n))]
    if not names:
        raise Fail('look for files', f'none is written for {interpreter}')
    return names


def first_line(path):
    with open(path, 'rb') as handle:
        return handle.readline(200).decode(errors='replace')


def need(path, how):
    if not path.exists():
        raise Fail('look for files', f'{path.relative_to(REPO)} is missing', f'run {how}')
    return path


def kernel_script(name):
    return need(TREE / 'scripts' / name, 'scripts/tree')


def make_object(kernel, *arguments):
    """Runs make in one kernel's folder; returns what it printed."""
    need(BUILD / kernel / '.config', f'scripts/build {kernel}')
    with common.locked(BUILD / 'log' / f'.{kernel}.lock', 'lint'):
        status, text = run(build.make_command(kernel, *arguments), env=build.build_env())
    if status:
        raise Fail(' '.join(['make', *arguments]), '\n' + '\n'.join(text.rstrip().split('\n')[-20:]))
    return text


# The checks

def check_checkpatch():
    """checkpatch --strict on our C, our Kconfig and the hooks"""
    script = kernel_script('checkpatch.pl')
    # Spelling is for check_codespell(), which has the same dictionary and takes a tenth of the time.
    command = ['perl', script, '--strict', '--terse', '--show-types', '--no-summary']
    names = ours('*.c', '*.h', folders=KERNEL_FOLDERS) + ['mm/Kconfig.page_reporting']
    lines = findings([*command, '-f', *names], cwd=TREE)
    lines += findings([*command, *[REPO / n for n in ours('hooks/*.patch')]], cwd=TREE)
    return [line for line in lines if not any(re.search(e, line) for e, _ in FALSE_ALARMS)]


def check_sparse():
    """sparse on the engine and on the KUnit suites"""
    version = run(['sparse', '--version'])[1].strip()
    if common.BASE != common.DEFAULT_BASE and sparse_number(version) <= OLD_SPARSE:
        say(f'lint sparse: {version} is too old for Linux {common.BASE}: not run')
        return []
    objects = [n.replace('.c', '.o') for n in ours('mm/page_reporting*.c', 'mm/tests/*.c')]
    text = make_object('guest', 'C=2', 'CF=-D__CHECK_ENDIAN__', f'KCFLAGS={DEBUG}', *objects)
    for name in objects:
        if not re.search(rf'CHECK +\S*{name[:-2]}\.c', text):
            raise Fail('sparse', f'did not look at {name[:-2]}.c')
    return [line for line in text.split('\n') if WARNING.search(line)]


def sparse_number(version):
    """As a tuple, of what sparse calls itself: a number, with or without a v and a commit."""
    found = re.search(r'\d+(\.\d+)+', version)
    return tuple(map(int, found[0].split('.'))) if found else OLD_SPARSE


def check_warnings():
    """W=1 on the engine, with and without KUnit and its checks, and on both drivers"""
    objects = [n.replace('.c', '.o') for n in ours('mm/page_reporting*.c')]
    drivers = ['drivers/virtio/virtio_balloon.o', 'drivers/hv/hv_balloon.o']
    kunit = f'KCFLAGS={DEBUG} -DCONFIG_KUNIT=1 -DCONFIG_PAGE_REPORTING_KUNIT_TEST=1'
    suites = [n.replace('.c', '.o') for n in ours('mm/tests/*.c')]
    lines = rebuild('hyperv', objects + suites, kunit)
    if 'kunit' not in run(['nm', BUILD / 'hyperv' / 'mm/page_reporting.o'])[1]:
        raise Fail('W=1', 'what the KUnit suites need of the engine was not built')
    return lines + rebuild('hyperv', [n for n in objects if 'debug' not in n] + drivers)


def rebuild(kernel, objects, *arguments):
    """What the compiler says of these objects when each of them is made anew."""
    for name in objects:
        (BUILD / kernel / name).parent.mkdir(parents=True, exist_ok=True)
        (BUILD / kernel / name).unlink(missing_ok=True)
    text = make_object(kernel, *arguments, *objects)
    for name in objects:
        need(BUILD / kernel / name, f'scripts/build {kernel}')
    return [line for line in text.split('\n') if WARNING.search(line)]


def check_kernel_doc():
    """kernel-doc -Werror on what we document"""
    return findings(['perl', kernel_script('kernel-doc'), '-none', '-Werror', '-Wall', *ours(*DOCUMENTED)],
                    cwd=TREE)


def check_abi():
    """get_abi validate on our ABI entries; each has its fields, each file of ours has an entry"""
    entries = {name: abi_entries((REPO / name).read_text(encoding='utf-8')) for name in ours('Documentation/ABI/*')}
    # It warns, and ends with 0 all the same. What is defined twice shows in the whole tree only.
    lines = run(get_abi('validate', REPO / 'Documentation/ABI'))[1].rstrip().split('\n')
    whole = run(get_abi('validate', TREE / 'Documentation/ABI'))[1].split('\n')
    lines += [line for line in whole if 'times:' in line and any(name in line for name in entries)]
    lines += [f'{name}: {what}: no {field}:' for name, found in entries.items() for what, fields in found.items()
              for field in ABI_FIELDS if field not in fields]
    described = {what for found in entries.values() for what in found}
    lines += [f'{path}: no ABI entry' for path in sorted(our_attributes() - described)]
    return [line for line in lines if line]


def get_abi(what, folder):
    """The kernel's tool for ABI entries, as a command: of newer kernels, a Python program."""
    program = TREE / 'tools' / 'docs' / 'get_abi.py'
    if program.is_file():
        return ['/usr/bin/python3', program, '--dir', folder, what]
    source = ['--rst-source'] if what == 'rest' else []
    return ['perl', kernel_script('get_abi.pl'), what, *source, '--dir', folder]


def abi_entries(text):
    """What is described -> the fields that its entry has."""
    found, names, complete = {}, [], True
    for field, value in re.findall(r'^([A-Z]\w+):[ \t]*(.*)$', text, re.M):
        if field == 'What':
            names = [value] if complete else [*names, value]
            found.setdefault(value, set())
        complete = field != 'What'
        for name in names:
            found[name].add(field)
    return found


def our_attributes():
    """The files in sysfs that our code makes: attributes, and parameters."""
    text = '\n'.join((REPO / name).read_text(encoding='utf-8') for name in ours('mm/page_reporting*.c'))
    attributes = re.findall(r'\b__ATTR_(?:RO|RW|WO)\((\w+)\)', text)
    parameters = re.findall(r'\bmodule_param(?:_cb|_named)?\((\w+),', text)
    if not attributes or not parameters:
        raise Fail('look for files in sysfs', 'the code makes none, or not in the way that this check knows')
    return {f'/sys/kernel/mm/page_reporting/{name}' for name in attributes} | \
           {f'/sys/module/page_reporting/parameters/{name}' for name in parameters}


def check_docs():
    """our documents and ABI entries build with Sphinx without a warning, and name files that exist"""
    need(TREE / 'Documentation' / 'conf.py', 'scripts/tree')
    names = ours('Documentation/*.rst')
    with common.fresh_dir(BUILD / 'log', 'docs') as work:
        pages = copy_pages(names, work / 'source')
        title = 'Pages\n=====\n\n.. toctree::\n\n'
        (work / 'source' / 'index.rst').write_text(title + ''.join(f'   {page}\n' for page in pages), encoding='utf-8')
        status, text = run(sphinx_command(work), env=common.clean_env(PYTHONDONTWRITEBYTECODE='1', srctree=str(TREE)))
        lines = [line.replace(f'{work}/source', 'Documentation') for line in text.split('\n') if WARNING.search(line)]
        if bool(status) != bool(lines):
            raise Fail('sphinx', f'exit status {status}:\n{text}')
    return [line for line in lines if not FOREIGN_ABI.search(line)] + missing_references(names)


def copy_pages(names, folder):
    """Our documents, at their places, and one that has the ABI entries: the names of the pages."""
    pages = {name[len('Documentation/'):-len('.rst')]: (REPO / name).read_text(encoding='utf-8') for name in names}
    pages['abi'] = run(get_abi('rest', REPO / 'Documentation/ABI'))[1]
    for page, text in pages.items():
        (folder / page).parent.mkdir(parents=True, exist_ok=True)
        (folder / f'{page}.rst').write_text(text, encoding='utf-8')
    return sorted(pages)


def sphinx_command(work):
    """Sphinx as the kernel configures it, with the extensions that our pages need."""
    settings = {'extensions': 'kerneldoc,rstFlatTable,automarkup', 'kerneldoc_srctree': REPO,
                'kerneldoc_bin': kernel_script('kernel-doc')}
    if (TREE / 'tools' / 'docs' / 'kernel-doc').exists():
        settings.pop('kerneldoc_bin')       # a module of Python there, which knows where it is
    return ['/usr/bin/python3', '-m', 'sphinx', '-q', '-W', '--keep-going', '--no-color', '-b', 'html', '-c',
            TREE / 'Documentation', *[word for key in settings for word in ('-D', f'{key}={settings[key]}')],
            work / 'source', work / 'html']


def missing_references(names):
    """What our documents name under Documentation/, and is not there."""
    return [f'{name}: {reference} does not exist' for name in names
            for reference in re.findall(r'\bDocumentation/[\w/.-]*\w', (REPO / name).read_text(encoding='utf-8'))
            if not (REPO / reference).exists() and not (TREE / reference).exists()]


def check_functions():
    """no function of the engine over 50 lines"""
    texts = {name: (REPO / name).read_text(encoding='utf-8') for name in ours(*ENGINE)}
    found = [(name, *function) for name, text in texts.items() for function in functions(text)]
    if not found:
        raise Fail('look for functions', 'there is none in ' + ', '.join(ENGINE))
    return [f'{path}:{line}: {name}() has {length} lines; the limit is {MAX_LINES}'
            for path, name, line, length in found if length > MAX_LINES]


def functions(text):
    """(name, first line, length) of each function; kernel style puts both braces in column 0."""
    lines, start = text.split('\n'), None
    for number, line in enumerate(lines):
        if line == '{':
            start = number
            while start and lines[start - 1] and not re.match(r'[#}]|.*(\*/|;)$|//', lines[start - 1]):
                start -= 1
        elif line == '}' and start is not None:
            name = re.search(r'(\w+)\s*\(', ' '.join(lines[start:number]))
            yield name[1] if name else '?', start + 1, number - start + 1
            start = None


def check_off():
    """CONFIG_PAGE_REPORTING=n leaves no trace, and links"""
    need(BUILD / 'off' / '.lab.built', 'scripts/build off')
    return traces(BUILD / 'off/mm/page_alloc.o') + traces(BUILD / 'off/vmlinux')


def traces(path):
    """Where an object file or kernel holds a trace of free page reporting."""
    said = {}
    for kind, command in (('symbol', ['nm', '-a']), ('relocation', ['objdump', '-r']), ('string', ['strings', '-a'])):
        status, said[kind] = run([*command, path])
        if status or kind == 'symbol' and 'no symbols' in said[kind]:
            raise Fail('lint off', f'{path}: {said[kind].strip()}')
    return [f'{path}: {kind}: {line.strip()}' for kind, text in said.items() for line in text.split('\n')
            if TRACE.search(line)]


def check_key():
    """the page allocator calls the engine only behind the static key"""
    return key.problems(key.Object(need(BUILD / 'guest/mm/page_alloc.o', 'scripts/build guest')))


def check_maintainers():
    """parse-maintainers.pl takes our entry, and its paths exist"""
    log = BUILD / 'log'
    lines = findings(['perl', kernel_script('parse-maintainers.pl'), f'--input={TREE}/MAINTAINERS',
                      f'--output={log}/MAINTAINERS.sorted', f'--section={log}/sections.txt'], cwd=TREE)
    text = (REPO / 'MAINTAINERS').read_text(encoding='utf-8')
    return lines + [f'MAINTAINERS: F: {pattern} matches nothing in the tree'
                    for pattern in re.findall(r'^F:\t(\S+)$', text, re.M) if not any(TREE.glob(pattern))]


def check_shellcheck():
    """shellcheck on our shell scripts"""
    return findings(['shellcheck', '-f', 'gcc', *scripts_for('(ba|da)?sh', '.sh')])


def check_codespell():
    """codespell on all our text"""
    names = [n for n in common.our_files(REPO) if n != 'COPYING' and b'\0' not in (REPO / n).read_bytes()]
    return findings(['codespell', '--ignore-words-list=damon', *names])


def check_links():
    """what our Markdown names is there: links, headings, files, make targets"""
    return [f'{name}: {what}' for name in ours('*.md') for what in texts.dead_links(REPO / name, (REPO, TREE))]


def check_results():
    """tables of results are those of results.json"""
    return texts.check()


def check_pyflakes():
    """pyflakes on our Python"""
    return findings(['/usr/bin/python3', '-m', 'pyflakes', *scripts_for('python', '.py')])


CHECKS = common.checks_of(globals())


def main():
    names = common.parse_names(__doc__, CHECKS).names
    return 0 if all(common.run_checks('lint', CHECKS, names).values()) else 1


if __name__ == '__main__':
    common.run_main('lint', main)
