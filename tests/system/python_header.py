"""python_header.py HEADER: compares what plugin/python says of catlatch.h with what a C compiler says
of it: each struct's size and members, each enum and constant, each function's result and arguments.
What the header has and Python lacks is a difference, too."""
import ctypes
import re
import subprocess
import sys
import tempfile
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_void_p

from catlatch import abi

# For catlatch_explain and catlatch_verify_batch, which Python does not have.
STRUCTS_LEFT_OUT = {"step"}

text = re.sub(r"/\*.*?\*/", "", open(sys.argv[1]).read(), flags=re.DOTALL)
structs = dict(re.findall(r"^struct catlatch_(\w+) \{(.*?)^\};", text, re.DOTALL | re.MULTILINE))
members = {
    name: re.findall(r"(\w+)(?:\[\w+\])?;", body)
    for name, body in structs.items()
    if name not in STRUCTS_LEFT_OUT
}
enums = re.findall(r"^enum (\w*) ?\{(.*?)^\};", text, re.DOTALL | re.MULTILINE)
constants = {name: re.findall(r"^\s*(CATLATCH_\w+)", body, re.MULTILINE) for name, body in enums[:2]}
constants[""] = [
    name for _, body in enums[2:] for name in re.findall(r"^\s*(CATLATCH_\w+)", body, re.MULTILINE)
]


def compiled():
    """What a program that was built with the header prints: names and numbers."""
    lines = [f'printf("{name} %lld\\n", (long long){name});' for names in constants.values() for name in names]
    for name, fields in members.items():
        kind = f"struct catlatch_{name}"
        lines.append(f'printf("{name} %zu\\n", sizeof({kind}));')
        for field in fields:
            where, size = f"offsetof({kind}, {field})", f"sizeof((({kind} *)0)->{field})"
            lines.append(f'printf("{name}.{field} %zu\\n", {where} * 100000 + {size});')
    source = f'#include "{sys.argv[1]}"\n#include <stdio.h>\nint main(void) {{ {" ".join(lines)} }}'
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["cc", "-x", "c", "-", "-o", f"{folder}/said"], input=source, text=True, check=True
        )
        said = subprocess.run([f"{folder}/said"], capture_output=True, text=True, check=True).stdout
    return {name: int(number) for name, number in map(str.split, said.splitlines())}


def wrapped():
    """The same, of Python's side."""
    said = {f"CATLATCH_{member.name}": member.value for member in abi.Result}
    said.update((f"CATLATCH_E_{member.name}", member.value) for member in abi.Error)
    said.update(
        (f"CATLATCH_{name}", value)
        for name, value in vars(abi).items()
        if isinstance(value, int) and (name.endswith("_SIZE") or name.startswith("OPEN_"))
    )
    for kind in abi.Sized.__subclasses__():
        name = kind.__name__.lower()
        said[name] = ctypes.sizeof(kind)
        for field, _ in kind._fields_:
            place = getattr(kind, field)
            said[f"{name}.{field}"] = place.offset * 100000 + place.size
    return said


def kind_of(declared):
    """What a C type, with or without a parameter's name, is in ctypes."""
    declared = declared.replace("const ", "").replace("enum catlatch_result", "int")
    stars, base = declared.count("*"), declared.split("*")[0].split()
    if base[0] == "struct":
        if base[1] == "catlatch":
            return c_void_p if stars == 1 else POINTER(c_void_p)
        return POINTER(getattr(abi, base[1][len("catlatch_"):].capitalize()))
    return {"void": None, "int": c_int, "size_t": c_size_t, "char": c_char_p}[base[0]]


def check_functions():
    declared = re.findall(r"^([a-z][\w ]*?[ *]+)(catlatch_\w+)\(([^;]*?)\);", text, re.MULTILINE)
    prototypes = {name: (result, arguments.split(",")) for result, name, arguments in declared}
    assert len(prototypes) >= 13, prototypes.keys()
    for name, signature in abi.FUNCTIONS.items():
        result, arguments = prototypes[name]
        assert tuple(map(kind_of, [result, *map(str.strip, arguments)])) == signature, name


def check_words():
    for result in abi.Result:
        assert abi.quick.result_name(result).decode() == str(result)
    assert abi.Result(4711) is abi.Result.DENIED  # a later library's


assert len(structs) == 6 and all(members.values()), structs.keys()
c, python = compiled(), wrapped()
assert len(c) > 60
for name in c.keys() | python.keys():
    assert c.get(name) == python.get(name), f"{name}: {c.get(name)} in C, {python.get(name)} in Python"
check_functions()
check_words()
