"""
Take out of an error message what differs from one failure to the next.

Flow: message -> **message_template** -> fingerprints, failures
Pure: no clock, no I/O; the caches hold bounded texts.

Order matters. What encloses goes before what it encloses: quoted values, then addresses and
paths, then dotted names, then all that has a digit. What is left of a list of placeholders is
one placeholder, so that three missing files read like two.
"""

from __future__ import annotations

import functools
import re
from typing import Final

PLACEHOLDER: Final = r"<(?:number|size|time|hex|uuid|id|path|url|host|quoted)>"
"""Matches every placeholder that :func:`template` writes, but for ``<cause>``."""

TEMPLATE_LIMIT: Final = 300
"""Longest template, in characters."""

# Longer than a template, so that where the cut falls cannot matter for usual messages.
_MESSAGE_LIMIT: Final = 2048
_NOT_SETTLING: Final = "<message>"


def template(message: str) -> str:
    """
    Replace what varies in a message by placeholders, and shorten the rest.

    Exit codes, errno and HTTP status codes stay: they are the name of a cause.

    Returns:
        At most :data:`TEMPLATE_LIMIT` characters; the template of a template is itself.

    Example:
        >>> template("sample 17: cannot open '/data/17.fits' on node-4.example.org")
        'sample <number>: cannot open <path> on <host>'
    """
    return _template(message[: _MESSAGE_LIMIT + 1])


@functools.lru_cache(maxsize=1024)
def _template(text: str) -> str:
    if len(text) > _MESSAGE_LIMIT:
        text = _without_torn_end(text[:_MESSAGE_LIMIT])
    return _settled(_replaced(text))


# Templates are few, and settling costs as much as replacing.
@functools.lru_cache(maxsize=1024)
def _settled(text: str) -> str:
    for _ in range(8):
        again = _replaced(text)
        if again == text:
            return text
        text = again
    return _NOT_SETTLING


def _replaced(text: str) -> str:
    text = " ".join(text.split())
    if _FILE_OBJECT in text:
        text = _FILE.sub("<path>", text)
    if _COMMAND_LIST in text:
        text = _COMMAND.sub("<quoted>", text)
    if _ANY_QUOTE.search(text):
        text = _QUOTED.sub(_quoted, text)
    if "/" in text or "\\" in text:
        text = _without_paths(text)
    if "host" in text or "node" in text:
        text = _AFTER_HOST.sub(r"\1<host>", text)
    if _DOT_AND_LETTER.search(text) or "localhost:" in text:
        text = _DOTTED.sub(_dotted, text)
    if _ANY_DIGIT.search(text):
        text = _without_digits(text)
    if "<" in text:
        text = _without_lists(text)
    if len(text) > TEMPLATE_LIMIT:
        text = _shortened(text)
    return text


_FILE_OBJECT: Final = "<File at 0x"
_FILE: Final = re.compile(r"<File at 0x[0-9a-f]+ [^<>]*>")

# Quotes within quotes: subprocess shows a command that is a list.
_COMMAND_LIST: Final = "Command '["
_COMMAND: Final = re.compile(r"(?<=Command )'\[.*\]'(?= (?:returned|died|timed) )")

_ANY_QUOTE: Final = re.compile("['\"`\u2018\u201c]")
# An apostrophe within a word neither opens nor closes.
_QUOTED: Final = re.compile(
    r"""(?<![^\W_])[bB]?(?:'(?:[^'\\]|\\.|'(?=\w))*'(?!\w)|"(?:[^"\\]|\\.)*"|`[^`]+`)"""
    "|\u2018[^\u2019]*\u2019|\u201c[^\u201d]*\u201d"
)
_OPEN_QUOTE: Final = re.compile("(?<![^\\W_])[bB]?['\"`\u2018\u201c].*", re.DOTALL)


def _without_torn_end(text: str) -> str:
    whole_words = re.sub(r"\S*\Z", "", text) or text
    return _OPEN_QUOTE.sub("<quoted>", _QUOTED.sub(_quoted, whole_words))


def _quoted(found: re.Match[str]) -> str:
    inside = found[0].lstrip("bB")[1:]
    return "<path>" if inside.startswith(("/", "./", "../", "~/")) else "<quoted>"


_URL: Final = re.compile(r"(?<![\w+.-])[A-Za-z][\w+.-]*://[^\s'\"<>]*[^\s'\"<>.,;:!?)\]}]")
_PATH_CHARACTER: Final = r"[^\s/'\"`<>|;,:()\[\]{}=*?]"
_ABSOLUTE: Final = re.compile(
    rf"(?<![\w./~>%+-])(?:~\w*|\.{{1,2}})?(?:/{_PATH_CHARACTER}+)+/?(?<!\.)"
    r"|(?<!\w)[A-Za-z]:\\[^\s'\"<>|;,()]+"
)
_RELATIVE: Final = re.compile(r"(?<![\w./~>@%+-])[\w.~@%+-]+(?:/[\w.~@%+-]+)+/?")
_EXTENSION: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}$")


def _without_paths(text: str) -> str:
    if "://" in text:
        text = _URL.sub("<url>", text)
    text = _ABSOLUTE.sub("<path>", text)
    return _RELATIVE.sub(_relative, text) if "/" in text else text


def _relative(found: re.Match[str]) -> str:
    path = found[0]
    # "and/or", "I/O" and "application/json" are words, "3/10" and "2024/01/02" are numbers.
    deep = path.count("/") > 1 and any(map(str.isalpha, path))
    return "<path>" if deep or _EXTENSION.search(path) else path


_AFTER_HOST: Final = re.compile(
    r"\b((?:(?:on|from|to) (?:host|node)|hostname|nodename)(?: |[=:] ?)|(?:host|node)[=:] ?)"
    r"[\w.:-]*\w"
)
_DOTTED: Final = re.compile(r"(?<![\w./<>%+-])[\w-]+(?:\.[\w-]+)+(?::\d{1,5})?|\blocalhost:\d{1,5}")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DOT_AND_LETTER: Final = re.compile(r"\.[A-Za-z]")
_HOST_ENDINGS: Final = _words(
    "com org net edu gov mil local localdomain lan internal intranet cluster hpc arpa cloud"
)
_COUNTRIES: Final = _words(
    "ac ar at au be br ca ch cl cn cz de dk es eu fi fr gr hu ie il in it jp kr mx nl no nz pl pt"
    " ro ru sa se sg tr tw uk us za"
)
_DATA_FILES: Final = _words(
    "txt csv tsv fits fit fz gz bz2 xz zst zip tar tgz h5 hdf5 hdf nc nc4 npy npz pkl pickle"
    " parquet feather json jsonl yaml yml xml html ini cfg toml conf dat png jpg jpeg tif tiff gif"
    " pdf bam sam cram fastq fq fasta fa vcf bcf gff gtf pdb mol2 sdf cif xyz gro trr xtc dcd inp"
    " tmp lock sqlite sqlite3 db root tfrecord pt pth onnx safetensors lhe hepmc"
)
# As often the name of an attribute or a function as the ending of a file.
_MAYBE_FILES: Final = _words("log out err bin bed sh")


def _dotted(found: re.Match[str]) -> str:
    name = found[0]
    if name.startswith("localhost:"):
        return "<host>"
    stem, _, ending = name.partition(":")[0].lower().rpartition(".")
    if ending in _DATA_FILES or (ending in _MAYBE_FILES and _looks_made_up(stem)):
        return "<path>"
    if ending in _HOST_ENDINGS or (ending in _COUNTRIES and "." in stem):
        return "<host>"
    return name


def _looks_made_up(stem: str) -> bool:
    return any(character in "-_0123456789" for character in stem)


_ANY_DIGIT: Final = re.compile("[0-9]")
_KEPT: Final = r"""
    (?P<kept>(?i:(?:exit|return|status|error)[ _]?(?:code|status)|returncode|errno|http[ ]error)
        [ :=]{0,2}-?[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9])|Signals\.SIG[A-Z]+:[ ][0-9]{1,2}\b)|"""
_VARYING: Final = r"""
    (?P<uuid>[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12})(?![A-Za-z0-9])
    |(?P<time>(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ])?[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?
        (?:Z|[+-][0-9]{2}:?[0-9]{2})?|[0-9]{4}-[0-9]{2}-[0-9]{2})(?![A-Za-z0-9])
    |(?P<host>(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]{1,5})?)(?![A-Za-z0-9.])
    |(?P<hex>0[xX][0-9A-Fa-f]+)(?![A-Za-z0-9])
    |(?:(?<![\w.)\]>-])[-+])?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)*(?:[eE][-+]?[0-9]+)?
        (?:\.(?=[\])},]|[ ]-?[0-9]))?
        (?:(?P<size>\.?[ ]?[KMGTPE]i?B\b)|(?P<number>(?![A-Za-z0-9])))
    |(?P<piece>[A-Za-z]*[0-9][A-Za-z0-9]*)"""
_DIGITS: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{_VARYING})", re.VERBOSE)
_DIGITS_AND_KEPT: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{_KEPT}{_VARYING})", re.VERBOSE)
_MAY_BE_KEPT: Final = re.compile("code|Code|CODE|tatus|TATUS|rrno|RRNO|Signals|HTTP|http")
_PREFIXED: Final = re.compile("[A-Za-z]+(?=[0-9]+$)")
_SUFFIXED: Final = re.compile("^[0-9]+(?=[A-Za-z]+$)")
_HEXADECIMAL: Final = re.compile("[0-9a-f]{8,}|[0-9A-F]{8,}")
# Names of types, formats and programs: the number in them is part of the word.
_WORDS: Final = _words(
    "int8 int16 int32 int64 int128 uint8 uint16 uint32 uint64 float16 float32 float64 float128"
    " bfloat16 complex64 complex128 datetime64 timedelta64 utf8 utf16 utf32 base64 ascii85 latin1"
    " md5 sha1 sha256 sha512 blake2b blake2s crc32 ipv4 ipv6 http2 python2 python3 py3 x86 x64"
    " i386 amd64 arm64 aarch64 ppc64le h5py h5 hdf5 netcdf4 sqlite3 psycopg2 boto3 urllib3 jinja2"
    " log2 log10 log1p expm1 arctan2 atan2 bz2 lz4 mp3 mp4 s3 gs2 v2 k8s"
)


def _without_digits(text: str) -> str:
    # Looking for what is kept costs as much as all the rest.
    digits = _DIGITS_AND_KEPT if _MAY_BE_KEPT.search(text) else _DIGITS
    text = digits.sub(_digits, text)
    return _JOINED.sub(_joined, text) if "<hex>" in text or "<id>" in text else text


def _digits(found: re.Match[str]) -> str:
    kind = found.lastgroup
    if kind == "kept":
        return found[0]
    return _piece(found[0]) if kind == "piece" else f"<{kind}>"


def _piece(piece: str) -> str:
    if piece.lower() in _WORDS:
        return piece
    if _HEXADECIMAL.fullmatch(piece):
        return "<hex>"
    prefix = _PREFIXED.match(piece)
    if prefix:
        return f"{prefix[0]}<number>"
    suffixed, count = _SUFFIXED.subn("<number>", piece)
    return suffixed if count else "<id>"


# An id with a random part is one id, whichever of its parts happen to look like numbers.
_JOINED: Final = re.compile(rf"{PLACEHOLDER}(?:[-_.]?{PLACEHOLDER})+")


def _joined(found: re.Match[str]) -> str:
    return "<id>" if "<hex>" in found[0] or "<id>" in found[0] else found[0]


_VIA: Final = re.compile(r"(?<=The representative cause is via ).+")
_LIST: Final = re.compile(
    rf"([\[({{]{{0,4}}{PLACEHOLDER}(?:: ?{PLACEHOLDER})?[\])}}]{{0,4}})(?:(?:, ?| )\1)+"
)
_ENUMERATION: Final = re.compile(r">[\])}]*(?:,| [\[({]*<)")
_BLOCK_ERROR: Final = "Error <number>: "


def _without_lists(text: str) -> str:
    if _ENUMERATION.search(text):
        text = _LIST.sub(r"\1", text)
    if "representative cause" in text:
        text = _VIA.sub("<cause>", text)
    if text.count(_BLOCK_ERROR) > 1:
        # The executor tells what each of its blocks said; most say the same.
        text = _BLOCK_ERROR.join(dict.fromkeys(text.split(_BLOCK_ERROR)))
    return text


def _shortened(text: str) -> str:
    words, _, _ = text[: TEMPLATE_LIMIT - 2].rpartition(" ")
    return f"{words or text[: TEMPLATE_LIMIT - 2]} …"
