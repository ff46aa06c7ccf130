"""The program of a compiled model, which is text, as a :class:`Model`.

The grammar is written down nowhere; this follows what Apple's compilers leave in ``model.mil``::

    program(1.3)
    [buildInfo = dict<string, string>({{"coremlc-version", "3520.5.1"}})]
    {
        func main<ios18>(tensor<fp16, [2, 4]> x) {
            int32 two = const()[name = string("two"), val = int32(2)];
            tensor<fp16, [2, 2]> a, tensor<fp16, [2, 2]> b = split(axis = two, x = x)[name = string("s")];
        } -> (a, b);
    }
"""

from __future__ import annotations

from sdtui.runtime.portable.mil_tokens import Tokens
from sdtui.runtime.portable.mil_values import read_argument, read_type, read_value
from sdtui.runtime.portable.program import Argument, Feature, Function, Model, Operation, Output, TensorType
from sdtui.runtime.portable.wire import MalformedError

_SPECIFICATION_VERSIONS = {"ios15": 6, "ios16": 7, "ios17": 8, "ios18": 9, "ios26": 10}
"""Sets of operations to the version of the specification that brought them."""


def read_text(text: str, function: str | None = None) -> Model:
    """Read a program's text, its function ``function``, or ``main``, or the only one that it has.

    Time and memory are linear in the text, whatever it is. Raises MalformedError unless it is a
    readable program that has such a function.
    """
    tokens = Tokens(text)
    tokens.take("program")
    tokens.skip_brackets()
    if tokens.current == "[":
        tokens.skip_brackets()
    tokens.take("{")
    found: dict[str, Model] = {}
    while not tokens.taken("}"):
        name, model = _function(tokens)
        found[name] = model
    if tokens.current:
        raise tokens.unexpected("its end")
    wanted = function or ("main" if len(found) != 1 else next(iter(found)))
    if wanted not in found:
        names = ", ".join(found) or "none"
        raise MalformedError(f"its program has no function {wanted}, only {names}")
    return found[wanted]


def _function(tokens: Tokens) -> tuple[str, Model]:
    tokens.take("func")
    name = tokens.name()
    tokens.take("<")
    opset = tokens.name()
    tokens.take(">")
    inputs = _parameters(tokens)
    if tokens.current == "[":
        tokens.skip_brackets()
    tokens.take("{")
    operations = []
    while not tokens.taken("}"):
        operations.append(_operation(tokens))
    tokens.take("->")
    function = Function(inputs, tuple(operations), _names(tokens))
    tokens.take(";")
    types = {each.name: each.type for each in inputs}
    types |= {output.name: output.type for each in operations for output in each.outputs}
    return name, Model(
        specification_version=_SPECIFICATION_VERSIONS.get(opset.lower(), 0),
        inputs=tuple(Feature(each.name, each.type) for each in inputs),
        outputs=tuple(Feature(name, _type_of(name, types)) for name in function.outputs),
        function=function,
    )


def _type_of(name: str, types: dict[str, TensorType]) -> TensorType:
    if name not in types:
        raise MalformedError(f"nothing computes {name}")
    return types[name]


def _parameters(tokens: Tokens) -> tuple[Output, ...]:
    """``(type name, ...)``: the inputs of a function."""
    parameters = []
    tokens.take("(")
    while not tokens.taken(")"):
        parameters.append(Output(type=read_type(tokens), name=tokens.name()))
        if tokens.current != ")":
            tokens.take(",")
    return tuple(parameters)


def _names(tokens: Tokens) -> tuple[str, ...]:
    names = []
    tokens.take("(")
    while not tokens.taken(")"):
        names.append(tokens.name())
        if tokens.current != ")":
            tokens.take(",")
    return tuple(names)


def _operation(tokens: Tokens) -> Operation:
    outputs, kind = _results(tokens)
    inputs = _arguments(tokens, kind)
    if tokens.taken("["):
        while not tokens.taken("]"):
            name = tokens.name()
            tokens.take("=")
            value = read_value(tokens)
            if name != "name":
                inputs.setdefault(name, (value,))
            if tokens.current != "]":
                tokens.take(",")
    if tokens.current == "{":
        raise MalformedError(
            f"it needs the operation {kind}, which is not supported", "report it as an issue of sdtui"
        )
    tokens.take(";")
    return Operation(kind, inputs, outputs)


def _results(tokens: Tokens) -> tuple[tuple[Output, ...], str]:
    """What an operation gives, with or without parentheses around it, and its type.

    One that gives nothing begins with its type.
    """
    if tokens.current == "(":
        outputs = _parameters(tokens)
        tokens.take("=")
        return outputs, tokens.name()
    first = tokens.name()
    if tokens.current == "(":
        return (), first
    results = [Output(type=read_type(tokens, first), name=tokens.name())]
    while tokens.taken(","):
        results.append(Output(type=read_type(tokens), name=tokens.name()))
    tokens.take("=")
    return tuple(results), tokens.name()


def _arguments(tokens: Tokens, kind: str) -> dict[str, Argument]:
    arguments: dict[str, Argument] = {}
    tokens.take("(")
    while not tokens.taken(")"):
        name = tokens.name()
        tokens.take("=")
        if name in arguments:
            raise MalformedError(f"a {kind} has two values for {name}")
        arguments[name] = read_argument(tokens)
        if tokens.current != ")":
            tokens.take(",")
    return arguments
