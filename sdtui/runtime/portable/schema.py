"""Field numbers of the messages that an ML Program needs.

Taken from the public Core ML format specification: Model.proto, MIL.proto and FeatureTypes.proto.
What the runtime has no use for is left out, and skipped by the decoder.
"""

from __future__ import annotations

from sdtui.runtime.portable.wire import Field, Schema

ARRAY_DTYPES = {65552: "fp16", 65568: "fp32", 65600: "fp64", 131104: "int32", 131080: "int8"}
"""``ArrayFeatureType.ArrayDataType`` to the type names of MIL."""

MIL_DTYPES = {
    1: "bool",
    2: "string",
    10: "fp16",
    11: "fp32",
    12: "fp64",
    13: "bf16",
    21: "int8",
    22: "int16",
    23: "int32",
    24: "int64",
    25: "int4",
    31: "uint8",
    32: "uint16",
    33: "uint32",
    34: "uint64",
    35: "uint4",
    36: "uint2",
    37: "uint1",
    38: "uint6",
    39: "uint3",
    40: "fp8e4m3fn",
    41: "fp8e5m2",
}
"""``MILSpec.DataType`` to the type names of MIL."""

SCHEMA: Schema = {
    "Model": {
        1: Field("specificationVersion", "int"),
        2: Field("description", "ModelDescription"),
        202: Field("pipeline", "Opaque"),
        500: Field("neuralNetwork", "Opaque"),
        502: Field("mlProgram", "Program"),
    },
    "Opaque": {},
    "Pipelined": {202: Field("pipeline", "Pipeline")},
    "Pipeline": {1: Field("models", "bytes", repeated=True)},
    "ModelDescription": {
        1: Field("input", "FeatureDescription", repeated=True),
        10: Field("output", "FeatureDescription", repeated=True),
        20: Field("functions", "FunctionDescription", repeated=True),
        21: Field("defaultFunctionName", "string"),
        100: Field("metadata", "Metadata"),
    },
    "FunctionDescription": {
        1: Field("name", "string"),
        2: Field("input", "FeatureDescription", repeated=True),
        3: Field("output", "FeatureDescription", repeated=True),
    },
    "FeatureDescription": {
        1: Field("name", "string"),
        2: Field("shortDescription", "string"),
        3: Field("type", "FeatureType"),
    },
    "FeatureType": {
        5: Field("multiArrayType", "ArrayFeatureType"),
        1000: Field("isOptional", "bool"),
    },
    "ArrayFeatureType": {
        1: Field("shape", "int", repeated=True),
        2: Field("dataType", "uint"),
    },
    "Metadata": {
        1: Field("shortDescription", "string"),
        2: Field("versionString", "string"),
        3: Field("author", "string"),
        4: Field("license", "string"),
        100: Field("userDefined", "string", map=True),
    },
    "Program": {
        1: Field("version", "int"),
        2: Field("functions", "Function", map=True),
    },
    "Function": {
        1: Field("inputs", "NamedValueType", repeated=True),
        2: Field("opset", "string"),
        3: Field("block_specializations", "Block", map=True),
    },
    "Block": {
        1: Field("inputs", "NamedValueType", repeated=True),
        2: Field("outputs", "string", repeated=True),
        3: Field("operations", "Operation", repeated=True),
    },
    "Operation": {
        1: Field("type", "string"),
        2: Field("inputs", "Argument", map=True),
        3: Field("outputs", "NamedValueType", repeated=True),
        5: Field("attributes", "Value", map=True),
    },
    "Argument": {1: Field("arguments", "Binding", repeated=True)},
    "Binding": {1: Field("name", "string"), 2: Field("value", "Value")},
    "NamedValueType": {1: Field("name", "string"), 2: Field("type", "ValueType")},
    "ValueType": {
        1: Field("tensorType", "TensorType"),
        2: Field("listType", "Opaque"),
        3: Field("tupleType", "Opaque"),
        4: Field("dictionaryType", "Opaque"),
        5: Field("stateType", "Opaque"),
    },
    "TensorType": {
        1: Field("dataType", "uint"),
        2: Field("rank", "int"),
        3: Field("dimensions", "Dimension", repeated=True),
    },
    "Dimension": {1: Field("constant", "ConstantDimension"), 2: Field("unknown", "Opaque")},
    "ConstantDimension": {1: Field("size", "uint")},
    "Value": {
        2: Field("type", "ValueType"),
        3: Field("immediateValue", "ImmediateValue"),
        5: Field("blobFileValue", "BlobFileValue"),
    },
    "ImmediateValue": {1: Field("tensor", "TensorValue"), 3: Field("list", "ListValue")},
    "ListValue": {1: Field("values", "Value", repeated=True)},
    "BlobFileValue": {1: Field("fileName", "string"), 2: Field("offset", "uint")},
    "TensorValue": {
        1: Field("floats", "Floats"),
        2: Field("ints", "Ints"),
        3: Field("bools", "Bools"),
        4: Field("strings", "Strings"),
        5: Field("longInts", "Ints"),
        6: Field("doubles", "Doubles"),
        7: Field("bytes", "Bytes"),
    },
    "Floats": {1: Field("values", "float", repeated=True)},
    "Ints": {1: Field("values", "int", repeated=True)},
    "Bools": {1: Field("values", "bool", repeated=True)},
    "Strings": {1: Field("values", "string", repeated=True)},
    "Doubles": {1: Field("values", "double", repeated=True)},
    "Bytes": {1: Field("values", "bytes")},
}
