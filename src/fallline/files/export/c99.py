"""A model as C99: NAME.h and NAME.c, which need the standard library alone, and no memory but the stack.

Networks are computed in float, as they were trained, but for their sums, which are double; all else is double.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.atomic import whole_file
from fallline.errors import DataError, ParameterError
from fallline.files.export.c99_helpers import HELPERS, RESERVED, helper
from fallline.files.export.steps import Column, Step, Steps, Value
from fallline.table import Target

Array = npt.NDArray[Any]

LONGEST_LITERAL = 4000  # bytes; compilers of C99 need not take more than 4095
SAFE = re.compile(r"[A-Za-z0-9 _.,:;()+<>=-]")  # letters that mean themselves in a literal and in a comment
CTYPES = {"float32": "float", "float64": "double", "bool": "int", "int64": "long long", "text": "const char *"}
BINARY = {"add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "div": "{} / {}", "greater": "{} > {}"}
BINARY |= {"max": "larger{f}({}, {})", "min": "smaller{f}({}, {})"}
ALIKE = ("exp", "log", "sqrt", "sin", "cos", "tanh", "erf", "sigmoid", "softplus")
UNARY = {name: f"{name}{{f}}({{}})" for name in ALIKE} | {"round": "rint{f}({})", "isnan": "isnan({})"}
SIZES = {"float32": 4, "float64": 8, "bool": 4, "int64": 8, "text": 8}  # bytes


def write(path: str | PathLike[str], steps: Steps, target: Target) -> None:
    """Write both files, each atomically: the header beside the source, by the same name.

    Parameters
    ----------
    path : str or path
        Ends in `.c`; its name without that begins what the functions are called.
    steps : Steps
    target : Target

    Raises
    ------
    OSError
        A file cannot be written.
    ParameterError
        The name has letters that an `#include` cannot have.
    DataError
        A label of a column has a NUL character, at which text in C ends.
    """
    path = Path(path)
    if not re.fullmatch(r"[A-Za-z0-9_. +-]+", path.stem) or path.suffix != ".c":
        raise ParameterError(
            f"{path}: the name of a C file must be of letters, digits, '-', '_' and '.', and end in '.c'"
        )
    header, source = Program(path.stem, steps, target).texts()
    for name, text in ((path.with_suffix(".h"), header), (path, source)):
        with whole_file(name) as file:
            file.write(text)


def identifier(name: str, taken: Iterable[str]) -> str:
    """A name that C takes and that is none of those taken: other letters become underscores.

    Examples
    --------
    >>> identifier("petal length (cm)", []), identifier("int", []), identifier("2nd", []), identifier("a b", ["a_b"])
    ('petal_length_cm', 'int_', 'x2nd', 'a_b_2')
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "x"
    plain = f"x{plain}" if plain[0].isdigit() else f"{plain}_" if plain in RESERVED else plain
    taken = set(taken)
    return next(each for each in (plain, *(f"{plain}_{i}" for i in range(2, len(taken) + 3))) if each not in taken)


def literal(text: str) -> str:
    r"""Text as C has it, in UTF-8: whatever may mean something else, in a comment or as a trigraph too, is escaped.

    Examples
    --------
    >>> print(literal('50 % "é"??/'))
    "50 \045 \042\303\251\042\077\077\057"
    """
    return f'"{"".join(map(_letter, text.encode()))}"'


def _letter(byte: int) -> str:
    letter = chr(byte)
    return letter if SAFE.fullmatch(letter) else f"\\{byte:03o}"


def numbers_in_c(array: Array) -> list[str]:
    """Numbers with as many digits as bring back the same bits."""
    suffix = "f" if array.dtype == np.float32 else ""
    return [f"{text}{suffix}" for text in array.ravel().astype(np.str_).tolist()]


class Program:
    """The two files of a model.

    Parameters
    ----------
    stem : str
        Of the files.
    steps : Steps
    target : Target
    """

    def __init__(self, stem: str, steps: Steps, target: Target) -> None:
        self.stem, self.steps, self.target = stem, steps, target
        self.name = identifier(stem, [])
        self.constants: list[str] = []
        self.names: dict[bytes, str] = {}  # of constants, so that equal ones are one
        self.helpers: dict[tuple[str, str], str] = {}
        self.members: dict[int, str] = {}
        for column, value in steps.columns:
            self.members[value.number] = identifier(column.name, self.members.values())
        self.parts: dict[str, list[Step]] = {}
        for step in steps.steps:
            self.parts.setdefault(step.part, []).append(step)
        self.where = {step.result.number: step.part for step in steps.steps}
        asked = {value.number: {""} for value in steps.answers.values()}  # parts that use a value; "" is the caller
        for step in steps.steps:
            for operand in step.operands:
                if isinstance(operand, Value):
                    asked.setdefault(operand.number, set()).add(step.part)
        self.asked = asked

    def texts(self) -> tuple[str, str]:
        """Give the header and the source."""
        functions = [self._function(part, steps) for part, steps in self.parts.items()]
        main = self._answers()
        order = list(HELPERS)
        helpers = [self.helpers[key] for key in sorted(self.helpers, key=lambda key: order.index(key[0]))]
        body = "\n".join([*helpers, *self.constants, *functions, main, *self._public_functions()])
        source = (
            f"/* Written by fallline; see {self.stem}.h. */\n\n#include <math.h>\n#include <stddef.h>\n"
            f'#include <string.h>\n\n#include "{self.stem}.h"\n\nenum {{ WIDEST = {self._widest()} }};\n\n{body}'
        )
        return self._header(), source

    def _header(self) -> str:
        guard = f"{self.name}_H"
        members = "".join(
            f"    {'const char *' if column.kind == 'category' else 'double '}{self.members[value.number]}"
            f"{f'[{column.width}]' if column.kind == 'pixels' else ''}; /* {column.kind}: {literal(column.name)} */\n"
            for column, value in self.steps.columns
        )
        constants = ""
        if self.target.task == "classification":
            constants = f"#define {self.name}_N_CLASSES {self.steps.answers['probabilities'].width}\n"
            if self.target.classes is not None:
                constants += f"extern {self._classes_declaration()};\n"
            constants += "\n"
        if self.target.quantiles:
            of = ", ".join(f"{quantile:g}" for quantile in self.target.quantiles)
            constants = f"/* Quantiles, one after another for each target: {of}. */\n"
            constants += f"#define {self.name}_N_QUANTILES {len(self.target.quantiles)}\n\n"
        declared = "".join(f"{declaration};\n" for declaration, _, _ in self._declarations())
        return (
            f"/* A model of {literal(self.target.name)} that fallline trained.\n\n"
            "   It calls no malloc and changes no static variable, so threads may share it; the functions take about\n"
            f"   {self._stack()} bytes of stack. Link with -lm; not for -ffast-math, since NAN means missing. */\n\n"
            f'#ifndef {guard}\n#define {guard}\n\n#ifdef __cplusplus\nextern "C" {{\n#endif\n\n'
            "/* One row. A number or date that is missing is NAN, text that is missing NULL. Dates are seconds since\n"
            "   1970, UTC. Categories are UTF-8; others than those that the training rows had may come. Numbers are\n"
            "   taken as float, as in training. */\n"
            f"typedef struct {{\n{members}}} {self.name}_row;\n\n{constants}"
            "/* Each gives 0; or 1, and writes nothing, where a number is infinite or far beyond those trained on. */\n"
            f"{declared}\n#ifdef __cplusplus\n}}\n#endif\n\n#endif\n"
        )

    def _classes_declaration(self) -> str:
        return f"{self._class_type()}const {self.name}_classes[{self.name}_N_CLASSES]"

    def _class_type(self) -> str:
        classes = self.target.classes
        if classes is None or classes.dtype.kind == "b":
            return "int "
        return {"U": "const char *", "i": "long long ", "f": "double "}[classes.dtype.kind]

    def _declarations(self) -> list[tuple[str, str, str]]:
        """Of each public function its declaration, where it puts the answer, and which one that is."""
        width = {name: value.width for name, value in self.steps.answers.items()}
        if self.target.classes is not None:
            public = [("predict", f"{self._class_type()}*label", "label", "label")]
        elif self.target.task == "classification":
            public = [("predict", f"int labels[{width['label']}]", "labels", "label")]
        else:
            many = f"prediction[{width['prediction']}]" if width["prediction"] > 1 else "*prediction"
            public = [("predict", f"double {many}", "prediction", "prediction")]
        for name, answer in (("predict_proba", "probabilities"), ("predict_quantiles", "quantiles")):
            if answer in width:
                public.append((name, f"double {answer}[{width[answer]}]", answer, answer))
        row = f"const {self.name}_row *row"
        return [(f"int {self.name}_{name}({row}, {given})", to, answer) for name, given, to, answer in public]

    def _public_functions(self) -> list[str]:
        answers = self.steps.answers
        arrays = "".join(f"    {self._array(value, f'a_{name}')};\n" for name, value in answers.items())
        given = ", ".join(f"a_{name}" for name in answers)
        texts = []
        for declaration, to, answer in self._declarations():
            cast = "(double)"
            if answer == "label":
                cast = "" if self.target.classes is not None else "(int)"
            texts.append(
                f"{declaration} {{\n    int i;\n{arrays}    if (answers(row, {given})) return 1;\n"
                f"    for (i = 0; i < {answers[answer].width}; ++i) {to}[i] = {cast}a_{answer}[i];\n    return 0;\n}}\n"
            )
        return texts

    def _stack(self) -> int:
        """Bytes, roughly: the arrays of the main function and those of its hungriest part."""
        passed = [value for _, value in self.steps.columns]
        passed += [step.result for step in self.steps.steps if self._leaves(step)]
        inner = max(_bytes(step.result for step in steps) for steps in self.parts.values())
        return inner + _bytes(passed) + 2 * _bytes(self.steps.answers.values()) + 8 * self._widest()

    def _widest(self) -> int:
        """Outputs of the widest layer."""
        return max(step.result.width for step in self.steps.steps if step.name == "affine")

    def _leaves(self, step: Step) -> bool:
        """Whether a value is used outside of its part."""
        return bool(self.asked.get(step.result.number, set()) - {step.part})

    def _answers(self) -> str:
        """The function that reads a row, and calls the parts one after another."""
        lines = []
        for column, value in self.steps.columns:
            lines += self._read(column, value)
        declared = [self._array(value) for _, value in self.steps.columns]
        answers = {value.number for value in self.steps.answers.values()}
        for part, steps in self.parts.items():
            declared += [
                self._array(step.result) for step in steps if self._leaves(step) and step.result.number not in answers
            ]
            lines.append(f"{identifier(part, [])}({', '.join(_name(each) for each in self._arguments(part))});")
        outputs = self.steps.answers["outputs"]
        lines.append(f"for (i = 0; i < {outputs.width}; ++i) if (!isfinite({_name(outputs)}[i])) return 1;")
        parameters, copied, seen = [], [], {}
        for name, value in self.steps.answers.items():  # the same value may be two answers
            first = value.number not in seen
            at = _name(value) if first else f"also_{name}"
            parameters.append(f"{CTYPES[value.dtype]}{'' if CTYPES[value.dtype][-1] == '*' else ' '}*{at}")
            if not first:
                copied.append(f"for (i = 0; i < {value.width}; ++i) {at}[i] = {_name(value)}[i];")
            seen[value.number] = at
        body = "".join(f"    {line}\n" for line in [*lines, *copied, "return 0;"])
        arrays = "".join(f"    {each};\n" for each in declared)
        given = ", ".join([f"const {self.name}_row *row", *parameters])
        return f"static int answers({given}) {{\n    int i;\n{arrays}{body}}}\n"

    def _read(self, column: Column, value: Value) -> list[str]:
        to, member = _name(value), f"row->{self.members[value.number]}"
        if column.kind == "category":
            return [f"{to}[0] = {member};"]
        self._helper("beyond_float")
        if column.kind == "pixels":
            refused = f"if (isnan({member}[i]) || beyond_float({member}[i])) return 1;"
            copied = f"for (i = 0; i < {column.width}; ++i) {to}[i] = (float){member}[i];"
            return [f"for (i = 0; i < {column.width}; ++i) {refused}", copied]
        taken = member if column.kind == "date" else f"(float){member}"
        return [f"if (beyond_float({member})) return 1;", f"{to}[0] = {taken};"]

    def _arguments(self, part: str) -> list[Value]:
        """What a part's function takes: values from before it, and those of its own that others ask for."""
        steps = self.parts[part]
        own = {step.result.number for step in steps}
        before: dict[int, Value] = {}
        for step in steps:
            for operand in step.operands:
                if isinstance(operand, Value) and operand.number not in own:
                    before[operand.number] = operand
        return [*before.values(), *(step.result for step in steps if self._leaves(step))]

    def _function(self, part: str, steps: Sequence[Step]) -> str:
        arguments = self._arguments(part)
        own = {step.result.number for step in steps}
        passed = {value.number for value in arguments}
        declared = [self._array(step.result) for step in steps if step.result.number not in passed]
        lines = [line for step in steps for line in self._lines(step)]
        parameters = ", ".join(self._parameter(value, value.number in own) for value in arguments)
        counter = "    int i;\n" if any("++i" in line for line in lines) else ""
        return (
            f"static void {identifier(part, [])}({parameters}) {{\n{counter}"
            + "".join(f"    {each};\n" for each in declared)
            + "".join(f"    {line}\n" for line in lines)
            + "}\n"
        )

    def _parameter(self, value: Value, written: bool) -> str:
        kind = CTYPES[value.dtype]
        if kind.endswith("*"):
            return f"{kind}{'' if written else 'const '}*{_name(value)}"
        return f"{'' if written else 'const '}{kind} *{_name(value)}"

    def _array(self, value: Value, name: str = "") -> str:
        kind = CTYPES[value.dtype]
        return f"{kind}{'' if kind.endswith('*') else ' '}{name or _name(value)}[{value.width}]"

    def _lines(self, step: Step) -> list[str]:
        """One step as C."""
        name, options, to, n = step.name, step.options, _name(step.result), step.result.width
        first = step.operands[0]
        f = "f" if isinstance(first, Value) and first.dtype == "float32" else ""  # as the standard library has it
        if name in BINARY or name in UNARY:
            self._helper({"max": "larger", "min": "smaller"}.get(name, name), f)
            return [self._loop(step, (BINARY | UNARY)[name].format(*map(self._element, step.operands), f=f))]
        if name == "where":
            return [self._loop(step, "{} ? {} : {}".format(*map(self._element, step.operands)))]
        assert isinstance(first, Value)
        x = _name(first)
        if name == "cast":
            return [self._loop(step, f"({CTYPES[options['dtype']]}){self._element(first)}")]
        if name == "concat":
            return self._concat(step)
        if name == "take":
            wanted = options["places"]
            if wanted == list(range(wanted[0], wanted[0] + n)):
                return [self._loop(step, f"{x}[{f'{wanted[0]} + ' * bool(wanted[0])}i]")]
            return [self._loop(step, f"{x}[{self._constant(np.array(wanted, np.int32))}[i]]")]
        if name == "row":
            table = self._classes(step) if step.result is self.steps.answers.get("label") else None
            table = table or self._constant(step.operands[1])
            return [self._loop(step, f"{table}[{x}[0] * {n} + i]")]
        if name == "code":
            self._helper("code_of")
            words = options["words"]
            return [f"{to}[0] = code_of({x}[0], {self._words(words)}, {len(words)}, {options['other']});"]
        constants = [self._constant(each) for each in step.operands[1:]]
        sizes = {
            "affine": (first.width, n),
            "grouped": getattr(step.operands[-1], "shape", ()),
            "softmax": (n,),
            "sort": (options.get("groups"), n // options.get("groups", 1)),
            "argmax": (first.width,),
        }[name]
        self._helper(name, f)
        return [f"{name}{f}({', '.join([x, *constants, *map(str, sizes), to])});"]

    def _loop(self, step: Step, expression: str) -> str:
        n = step.result.width
        if n == 1:
            return f"{_name(step.result)}[0] = {expression.replace('[i]', '[0]').replace('+ i]', '+ 0]')};"
        return f"for (i = 0; i < {n}; ++i) {_name(step.result)}[i] = {expression};"

    def _concat(self, step: Step) -> list[str]:
        lines, at = [], 0
        for each in step.operands:
            assert isinstance(each, Value)
            if each.width == 1:
                lines.append(f"{_name(step.result)}[{at}] = {_name(each)}[0];")
            else:
                lines.append(f"for (i = 0; i < {each.width}; ++i) {_name(step.result)}[{at} + i] = {_name(each)}[i];")
            at += each.width
        return lines

    def _element(self, operand: Value | Array) -> str:
        """Number i of an operand, or the only one."""
        if isinstance(operand, Value):
            return f"{_name(operand)}[{'0' if operand.width == 1 else 'i'}]"
        if operand.size == 1:
            (text,) = numbers_in_c(operand)
            return f"({text})" if text.startswith("-") else text
        return f"{self._constant(operand)}[i]"

    def _helper(self, name: str, f: str = "") -> None:
        """Have a function among those that are put down, in float or in double, if it is one of ours."""
        if name in HELPERS:
            self.helpers[(name, f)] = helper(name, f)

    def _constant(self, array: Any) -> str:
        """The name of a constant, which is put down where it is new."""
        key = array.tobytes() + str(array.dtype).encode()
        if key not in self.names:
            self.names[key] = f"c{len(self.names)}"
            kind = {"float32": "float", "float64": "double", "int32": "int"}[array.dtype.name]
            self.constants.append(_definition(f"static const {kind} {self.names[key]}", numbers_in_c(array)))
        return self.names[key]

    def _classes(self, step: Step) -> str:
        classes: Any = self.target.classes
        if classes.dtype.kind == "U":
            items = [self._text(label) for label in classes.tolist()]
        elif classes.dtype.kind == "i":  # the smallest number has no literal
            items = [f"({label + 1}LL - 1)" if label < 0 else f"{label}LL" for label in classes.tolist()]
        else:
            items = [repr(int(label) if classes.dtype.kind == "b" else label) for label in classes.tolist()]
        self.constants.append(_definition(self._classes_declaration(), items, sized=True))
        return f"{self.name}_classes"

    def _words(self, words: dict[str, int]) -> str:
        for word in words:
            if "\0" in word:
                raise DataError(f"the label {word!r} has a NUL character, where text in C ends; export to .onnx or .py")
        self._helper("word")
        ordered = sorted(words, key=lambda word: word.encode())
        items = [f"{{{self._text(word)}, {words[word]}}}" for word in ordered]
        key = "\0".join(items).encode()
        if key not in self.names:
            self.names[key] = f"c{len(self.names)}"
            self.constants.append(_definition(f"static const struct word {self.names[key]}", items))
        return self.names[key]

    def _text(self, text: str) -> str:
        encoded = text.encode()
        if len(encoded) <= LONGEST_LITERAL:
            return literal(text)
        if encoded not in self.names:
            self.names[encoded] = f"c{len(self.names)}"
            letters = [f"'{_letter(byte)}'" for byte in encoded] + ["0"]
            self.constants.append(_definition(f"static const char {self.names[encoded]}", letters))
        return self.names[encoded]


def _name(value: Value) -> str:
    return f"v{value.number}"


def _bytes(values: Iterable[Value]) -> int:
    return sum(SIZES[value.dtype] * value.width for value in values)


def _definition(declaration: str, items: Sequence[str], sized: bool = False) -> str:
    """A constant array, some items a line."""
    lines = [", ".join(items[i : i + 8]) for i in range(0, len(items), 8)]
    size = "" if sized else f"[{len(items)}]"
    return f"{declaration}{size} = {{\n    " + ",\n    ".join(lines) + "\n};\n"
