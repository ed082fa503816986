"""What the arguments of well-known commands are, as declarations: which are files to read, which are changed, which is no file at
all.

The permission of an argument is `read`, `edit`, `list`, `read+edit`, empty for what is no path, or `look`: a path if there is
such a file, or if it is written like one that is outside. Options are written out: `-e --regexp`. `values` are those whose value
is no path, `reads` and `edits` those whose value is one, `runs` those that name a program or hold code, `changes` those with
which every argument is changed, `supplies` those that take the place of the first (or, with `last`, of the last) argument.
"""

from typing import NamedTuple


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


class Shape(NamedTuple):
    each: str = "read"
    first: str | None = None
    last: str | None = None
    values: str = ""
    reads: str = ""
    edits: str = ""
    runs: str = ""
    changes: str = ""
    supplies: str = ""
    inside: str = "list"
    """What is asked for in place of `read` where the argument is a directory."""
    stops: bool = False
    """What follows the first argument belongs to the program that it names."""
    needs: str = ""
    """Without an argument, and without one of these options, it reads what it does from its input."""
    code: bool = False
    """The first argument is code."""


UNKNOWN = Shape(each="look")
_CHANGES = Shape(each="edit")
_NOTHING = Shape(each="")
_LIST = Shape(each="list")
_GREP = Shape(
    first="",
    values="-e --regexp -A --after-context -B --before-context -C --context -m --max-count --color --colour --include --exclude "
    "--exclude-dir -d --directories -D --devices --label --binary-files --group-separator",
    reads="-f --file --exclude-from",
    supplies="-e --regexp -f --file",
    inside="grep",
)
_COPY = Shape(
    last="edit",
    values="-S --suffix -m --mode -o --owner -g --group",
    edits="-t --target-directory",
    supplies="-t --target-directory",
)
_PACK = Shape(each="read+edit", values="-S --suffix -T --threads -M --memory")
_CODE = Shape(each="look", code=True, stops=True)
_EDITOR = Shape(each="read+edit", runs="-c --cmd -s -S -u -U -e -E -w -W +", needs="-")


def _interpreter(runs: str, values: str = "", needs: str = "--version -V --help -h", reads: str = "") -> Shape:
    return Shape(each="look", first="read", runs=runs, values=values, stops=True, needs=needs, reads=reads)


_PYTHON = _interpreter("-c", "-W -X -m --check-hash-based-pycs", "--version -V --help -h -m")
_NODE = _interpreter(
    "-e --eval -p --print -r --require --import --loader --experimental-loader", "", "--version -v --help -h --test"
)
_DASH = Shape(
    first="", each="read", reads="-f --file --from-file --slurpfile --rawfile --argfile -L", values="--indent"
)

SHAPES: dict[str, Shape] = {
    **dict.fromkeys(
        _names("cat tac nl rev stat cksum sum b2sum md5sum sha1sum sha224sum sha256sum sha384sum sha512sum cmp comm"),
        Shape(),
    ),
    **dict.fromkeys(
        _names(
            "strings fold fmt expand unexpand paste join tsort zcat bzcat xzcat zstdcat lzcat readelf nm objdump size"
        ),
        Shape(),
    ),
    **dict.fromkeys(
        _names("base64 base32 basenc hd hexyl column pr look ldd exiftool identify zipinfo"), Shape(values="-w --wrap")
    ),
    **dict.fromkeys(_names("head tail"), Shape(values="-n --lines -c --bytes -s --sleep-interval --pid")),
    "wc": Shape(reads="--files0-from"),
    "du": Shape(
        each="list",
        values="-d --max-depth -B --block-size -t --threshold --exclude --time-style",
        reads="--files0-from -X --exclude-from",
    ),
    "cut": Shape(values="-d --delimiter -f --fields -c --characters -b --bytes --output-delimiter"),
    "sort": Shape(
        values="-k --key -t --field-separator -S --buffer-size --parallel --batch-size --sort",
        reads="--files0-from --random-source",
        edits="-o --output -T --temporary-directory",
        runs="--compress-program",
    ),
    "shuf": Shape(values="-n --head-count -i --input-range", edits="-o --output", reads="--random-source"),
    "uniq": Shape(last="edit", values="-f --skip-fields -s --skip-chars -w --check-chars"),
    "od": Shape(values="-A --address-radix -j --skip-bytes -N --read-bytes -t --format -w --width -S --strings"),
    "hexdump": Shape(values="-n --length -s --skip -e --format", reads="-f --format-file"),
    "xxd": Shape(last="edit", values="-c -cols -g -groupsize -l -len -o -s -seek -n -name"),
    "file": Shape(
        reads="-f --files-from -m --magic-file",
        edits="-C --compile",
        values="-F --separator -e --exclude -P --parameter",
    ),
    "diff": Shape(
        values="-U --unified -C --context -I --ignore-matching-lines --label -L -x --exclude -W --width --color",
        reads="-X --exclude-from --from-file --to-file",
        inside="grep",
    ),
    "sdiff": Shape(edits="-o --output", runs="--diff-program"),
    "split": Shape(
        first="read", each="edit", values="-b --bytes -l --lines -n --number -a --suffix-length", runs="--filter"
    ),
    "csplit": Shape(first="read", each="", values="-f --prefix -b --suffix-format -n --digits"),
    "less": Shape(
        runs="+ -k --lesskey-file --lesskey-src -o -O --log-file --LOG-FILE", values="-p --pattern -x --tabs"
    ),
    "more": Shape(runs="+"),
    **dict.fromkeys(_names("grep egrep fgrep zgrep bzgrep xzgrep"), _GREP),
    "rg": _GREP._replace(
        values=f"{_GREP.values} -g --glob --iglob -t --type -T --type-not -M --max-columns -j --threads -d --max-depth "
        "-r --replace -E "
        "--encoding --sort --sortr --engine --type-add --type-clear --colors",
        reads="-f --file --ignore-file",
        runs="--pre --hostname-bin",
        supplies="-e --regexp -f --file --files --type-list",
    ),
    "ag": _GREP._replace(
        values="-A -B -C -m --depth -G --file-search-regex --ignore", runs="--pager", reads="-p --path-to-ignore"
    ),
    "ack": _GREP._replace(runs="--pager --ackrc"),
    "sed": Shape(
        first="",
        values="-e --expression -l --line-length",
        runs="-f --file",
        changes="-i --in-place",
        supplies="-e --expression -f --file",
    ),
    **dict.fromkeys(_names("awk gawk mawk nawk"), _CODE),
    "jq": _DASH,
    "yq": Shape(first="", changes="-i --inplace --in-place", reads="--from-file"),
    "tr": _NOTHING,
    **dict.fromkeys(
        _names("echo true false : pwd seq sleep exit return break continue whoami id uname hostname nproc yes"),
        _NOTHING,
    ),
    **dict.fromkeys(
        _names("printf basename dirname expr kill killall pkill pgrep type which hash umask ulimit jobs wait shift"),
        _NOTHING,
    ),
    **dict.fromkeys(_names("test [ [[ realpath readlink pathchk mountpoint"), Shape(each="list")),
    "date": Shape(each="", values="-d --date -s --set", reads="-f --file -r --reference"),
    "ls": Shape(
        each="list", values="-I --ignore -w --width -T --tabsize --hide --color --sort --time --time-style --format -F"
    ),
    "tree": Shape(each="list", values="-L -P -I -H -T --filelimit --sort", edits="-o"),
    **dict.fromkeys(_names("dir vdir exa eza lsd"), _LIST),
    **dict.fromkeys(
        _names("rm unlink shred truncate rmdir mkdir mkfifo mknod"),
        Shape(each="edit", values="-s --size -m --mode -n --iterations"),
    ),
    "touch": Shape(each="edit", values="-d --date -t", reads="-r --reference"),
    **dict.fromkeys(
        _names("chmod chown chgrp setfacl chattr"),
        Shape(first="", each="edit", reads="--reference", supplies="--reference"),
    ),
    "tee": _CHANGES,
    "sponge": _CHANGES,
    **dict.fromkeys(_names("cp install"), _COPY),
    "mv": _COPY._replace(each="read+edit"),
    "link": _COPY,
    "rsync": Shape(
        last="edit",
        values="--exclude --include -f --filter",
        reads="--exclude-from --include-from --files-from",
        runs="-e --rsh --rsync-path",
    ),
    "scp": Shape(last="edit", values="-P -l -c", reads="-i -F", runs="-S -o -D"),
    "sftp": Shape(each="look", runs="-b -S -o -D"),
    "ssh": Shape(each="", first="", runs="-o -S -F -E -W -L -R -D", reads="-i", stops=True),
    **dict.fromkeys(
        _names("gzip gunzip bzip2 bunzip2 xz unxz zstd unzstd lzma unlzma lz4 compress uncompress brotli"), _PACK
    ),
    "zip": Shape(first="edit", values="-x -i -n -P", runs="-TT --unzip-command"),
    "unzip": Shape(first="read", each="", edits="-d"),
    "patch": Shape(
        each="edit", reads="-i --input", edits="-o --output -r --reject-file -d --directory", values="-p --strip -D"
    ),
    "openssl": Shape(
        first="",
        each="look",
        reads="-in -key -CAfile -cert -inkey -signature -config -kfile -rand -CA -CAkey -CApath -certfile -extfile",
        edits="-out -keyout -writerand -CAserial",
        runs="-engine -provider -provider-path",
    ),
    **dict.fromkeys(_names("python python2 python3 pypy pypy3"), _PYTHON),
    **dict.fromkeys(_names("node nodejs"), _NODE),
    "perl": _interpreter("-e -E -n -p -M -m -d", "-I -C", "--version -v -V"),
    "ruby": _interpreter("-e -r -n -p", "-I -C -E -W", "--version -v"),
    "php": _interpreter("-r -R -B -E -d", "", "--version -v -i -l"),
    "lua": _interpreter("-e -l", "", "-v"),
    "Rscript": _interpreter("-e", "", "--version"),
    "julia": _interpreter("-e -E --eval --print", "", "--version"),
    "bun": Shape(each="look", runs="-e --eval -p --print", stops=True),
    "deno": Shape(each="look", stops=True),
    **dict.fromkeys(
        _names("tclsh wish osascript irb ghci scala jshell gdb lldb sqlite3 psql mysql"),
        Shape(each="look", runs="-e -c -x -ex -cmd -init", needs="--version"),
    ),
    **dict.fromkeys(_names("sh bash dash zsh ksh mksh ash rbash"), Shape(first="read", each="look", stops=True)),
    **dict.fromkeys(_names(". source"), Shape(first="read", each="look")),
    **dict.fromkeys(_names("vi vim nvim view ex ed nano emacs emacsclient"), _EDITOR),
    **dict.fromkeys(_names("bc dc m4 cpp"), Shape()),
    "man": Shape(each="", runs="-P --pager -H --html -C --config-file"),
    "make": Shape(
        each="look",
        reads="-f --file --makefile -C --directory -I --include-dir",
        runs="--eval -E",
        values="-j --jobs -l -o -W",
    ),
    "cd": _LIST,
    "pushd": _LIST,
    "crontab": Shape(each="read", needs="-l"),
    "at": Shape(each="", runs="-f", needs="-l"),
    "batch": Shape(each="", needs="--version"),
    "mount": Shape(each="look"),
    "entr": Shape(each="look", needs="--version"),
    "script": Shape(each="edit", runs="-c --command", needs="--version"),
}

INERT = frozenset({"echo", "true", "false", ":", "exit", "return", "break", "continue", "sleep", "seq"})
"""Nothing depends on what their arguments are; `echo $x` can do no more than `echo`."""
