"""Requests over REST as bytes: routes, bodies and errors, one line each.

Each is sent as it stands and the answer compared: status, the headers that
matter, every byte of the body save how a float is written that is the same one.

What Sluice answers differently on purpose is not here: a region that nobody
registered through it is nobody's, and unregistering it is refused.
"""

import gzip
import json
import zlib

# Routes that answer, and what is no route.
ROUTES = """
GET /v2
GET /v2?x=1
GET /v2/
GET /
POST /v2
GET /v2/health/live
GET /v2/health/ready
GET /v2/health/other
HEAD /v2/health/live
POST /v2/health/live
GET /v2/models
GET /v2/models/
GET /v2/models/simple
GET /v2/models/simple?version=2
GET /v2/models/simple/
GET /v2/models/simple/versions/1
GET /v2/models/simple/versions/01
GET /v2/models/simple/versions/99
GET /v2/models/simple/versions/abc
GET /v2/models/simple/versions/
GET /v2/models/simple/versions
GET /v2/models/simple/versions/1/
GET /v2/models/simple/versions/1/versions/1
GET /v2/models/simple/versions/-1
GET /v2/models/simple/nothing
GET /v2/models//ready
GET /v2/models/nope
GET /v2/models/nope/ready
GET /v2/models/nope/config
GET /v2/models/nope/stats
GET /v2/models/nope/trace/setting
GET /v2/models/no%20such
GET /v2/models/a%252Fb
GET /v2/models/simple:ready
GET /v2/models/infer
GET /v2/models/ready/ready
GET /v2/models/versions
GET /v2/models/versions/1
PUT /v2/models/simple
DELETE /v2/models/simple
POST /v2/models/simple
GET /v2/models/simple/ready
HEAD /v2/models/simple/ready
POST /v2/models/simple/ready
GET /v2/models/simple/versions/1/ready
GET /v2/models/simple/versions/2/ready
GET /v2/models/simple/config
GET /v2/models/simple/versions/1/config
GET /v2/models/every_type/config
GET /v2/models/every_type
GET /v2/models/repeat_int32/config
GET /v2/models/accumulator/config
GET /v2/models/labelled/config
GET /v2/models/parameters/config
GET /v2/models/tokens/config
GET /v2/models/simple/infer
GET /v2/models/simple/generate
GET /v2/models/simple/generate_stream
GET /v2/trace/setting
GET /v2/trace/setting/
PUT /v2/trace/setting
GET /v2/models/simple/trace/setting
GET /v2/models/simple/versions/1/trace/setting
GET /v2/logging
PUT /v2/logging
GET /v2/repository/index
POST /v2/repository/index
POST /v2/repository/anything/index
POST /v2/repository/index/
GET /v2/repository/models/simple/load
POST /v2/repository/anything/models/simple/load
POST /v2/repository/anything/models/simple/unload
POST /v2/repository/models/nope/load
POST /v2/repository/models/nope/unload
POST /v2/repository/models/simple/reload
GET /v2/systemsharedmemory/status
POST /v2/systemsharedmemory/status
GET /v2/systemsharedmemory/region/x/status
GET /v2/systemsharedmemory/register
POST /v2/systemsharedmemory/register
POST /v2/systemsharedmemory/unregister
POST /v2/systemsharedmemory/region/x/register
GET /v2/cudasharedmemory/status
GET /v2/cudasharedmemory/region/x/status
POST /v2/cudasharedmemory/register
POST /v2/cudasharedmemory/unregister
""".strip().splitlines()

INFER = "/v2/models/{}/infer"


def fp32(shape, data, more=""):
    return f'{{"inputs":[{{"name":"INPUT0","shape":{shape},"datatype":"FP32","data":{data}}}]{more}}}'


def one(model, text):
    return "POST", INFER.format(model), text


# Bodies of inferences, good and bad.
INFERENCES = [
    one("identity_fp32", body)
    for body in (
        fp32("[1,2]", "[0.1,2]"),
        fp32("[1,2]", "[[0.1],[2]]"),
        fp32("[1,2]", "[ [ [ 0.1 ] ] , 2 ]"),
        fp32("[1,2]", "[0.1]"),
        fp32("[1,2]", "[0.1,2,3]"),
        fp32("[1,2]", '["a",2]'),
        fp32("[1,2]", "[true,2]"),
        fp32("[1,2]", "[null,2]"),
        fp32("[1,2]", "[{},2]"),
        fp32("[1,4]", "[NaN,-Infinity,Inf,-Inf]"),
        fp32("[1,2]", "[1e400,2]"),
        fp32("[1,2]", "[1e39,-1e39]"),
        fp32("[1,8]", "[1e20,1e21,1e22,123456789,0.000001,0.0000001,1e-40,-0.0]"),
        fp32("[1,6]", "[3.4e38,16777216,0.3,1234567.9,1E3,1e+3]"),
        fp32("[1,2]", "1"),
        fp32("[1,2]", "{}"),
        fp32("[1,2]", '"x"'),
        fp32("[-1,2]", "[1,2]"),
        fp32("[1.5,2]", "[1,2]"),
        fp32('"x"', "[1,2]"),
        fp32("[0,2]", "[]"),
        fp32("[1,2]", "[1,2"),
        fp32("[1,2]", "[1,,2]"),
        fp32("[1,2]", "[1,2,]"),
        fp32("[1,2]", "[01,2]"),
        fp32("[1,2]", "[1.,2]"),
        fp32("[1,2]", "[1e,2]"),
        fp32("[1,2]", "[-,2]"),
        fp32("[1,2]", "[+1,2]"),
        fp32("[1,2]", "[.5,2]"),
        fp32("[1,2]", "[1 2]"),
        fp32("[1,2]", "[Nan,2]"),
        fp32("[1,2]", "[Infinit,2]"),
        fp32("[1,2]", "[1,2]", ',"id":"the id"'),
        fp32("[1,2]", "[1,2]", ',"id":""'),
        fp32("[1,2]", "[1,2]", ',"id":1'),
        fp32("[1,2]", "[1,2]", ',"unknown":{"a":[1,{"b":null}]}'),
        fp32("[1,2]", "[1,2]", ',"outputs":[]'),
        fp32("[1,2]", "[1,2]", ',"outputs":{}'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[1]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":1}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":"OUTPUT0"}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":"OUTPUT0"},{"name":"OUTPUT0"}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":"NOPE"}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":true}}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":false}}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":1}}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":"OUTPUT0","parameters":{"classification":1}}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":"OUTPUT0","parameters":{"classification":-1}}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":"OUTPUT0","parameters":{"classification":0}}]'),
        fp32("[1,2]", "[1,2]", ',"outputs":[{"name":"OUTPUT0"}],"parameters":{"binary_data_output":true}'),
        fp32("[1,2]", "[1,2]", ',"parameters":{"binary_data_output":true}'),
        fp32("[1,2]", "[1,2]", ',"parameters":{"binary_data_output":1}'),
        fp32("[1,2]", "[1,2]", ',"parameters":[]'),
        fp32("[1,2]", "[1,2]", ',"parameters":{"triton_x":1}'),
        fp32("[1,2]", "[1,2]", ',"parameters":{"priority":-1}'),
        fp32("[1,2]", "[1,2]", ',"parameters":{"timeout":"x"}'),
        fp32("[1,2]", "[1,2]", ',"parameters":{"sequence_id":-1}'),
        fp32("[1,2]", "[1,2]", ',"parameters":{"sequence_start":1}'),
        fp32("[1,2]", "[1,2]", ',"parameters":{"a":null}'),
        fp32("[1,2]", "[1,2]", ',"parameters":{"a":[1]}'),
        "{}",
        "[]",
        "1",
        "x",
        " ",
        '{"inputs":{}}',
        '{"inputs":[]}',
        '{"inputs":[1]}',
        '{"inputs":[{}]}',
        '{"inputs":[{"data":[1]}]}',
        '{"inputs":[{"data":[1],"name":"INPUT0"}]}',
        '{"inputs":[{"data":[1],"name":"INPUT0","datatype":"FP32"}]}',
        '{"inputs":[{"data":[1],"name":1,"datatype":"FP32"}]}',
        '{"inputs":[{"data":[1],"name":"INPUT0","datatype":1}]}',
        '{"inputs":[{"data":[1,2],"name":"INPUT0","datatype":"FP32","shape":[1,2]}]}',
        '{"inputs":[{"shape":[1,2],"data":[1,2],"datatype":"FP32","name":"INPUT0"}]}',
        '{"inputs":[{"data":[1,"x"],"name":"INPUT0","datatype":"FP32","shape":[1,2]}]}',
        '{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP16","data":[1,2]}]}',
        '{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"BF16","data":[1,2]}]}',
        '{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"NOPE","data":[1,2]}]}',
        '{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"INT32","data":[1,2]}]}',
        '{"inputs":[{"name":"NOPE","shape":[1,2],"datatype":"FP32","data":[1,2]}]}',
        '{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP32","data":[1,2],"parameters":{"binary_data_size":8}}]}',
        '{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}',
        '{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":-8}}]}',
        '{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":"8"}}]}',
        '{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP32","parameters":{"shared_memory_region":1}}]}',
        '{"a":1}x',
        '{"a" 1}',
        "{a:1}",
        '{"a":tru}',
        '{"a":falsy}',
        '{"a":nul}',
        '{"a":"\\x"}',
        '{"a":"\\ud800"}',
        '{"a":"\\ud800\\u0041"}',
        '{"a":"\\u12g4"}',
        '{"a":1 "b"}',
        '{"a":1,}',
        '{"a":"',
        '{"a":"\x01"}',
        '{"a":"\\',
        "{",
        '{"a"',
        '{"a":',
        "[1",
        "[",
    )
] + [
    one("parameters", f'{{"inputs":[{{"name":"IGNORED","shape":[1],"datatype":"INT32","data":[1]}}],"parameters":{p}}}')
    for p in (
        '{"a":1,"b":true,"c":"s","d":1.5,"e":18446744073709551615,"f":-9223372036854775808}',
        '{"a":1,"a":2}',
        '{"\\u00e9":"\\ud83d\\ude00"}',
        '{"priority":1,"timeout":5,"sequence_id":0,"sequence_start":false}',
        '{"binary_data_output":false,"x":1e3}',
        "{}",
    )
] + [
    one("simple_identity", f'{{"inputs":[{{"name":"INPUT0","shape":[1,{n}],"datatype":"BYTES","data":{data}}}]}}')
    for n, data in (
        (1, '["plain"]'),
        (2, '["","a\\u00e9\\ud83d\\ude00"]'),
        (1, '["\\u0000\\u0001\\u001f\\u007f\\/\\"\\\\\\b\\f\\n\\r\\t"]'),
        (2, '["a"]'),
        (1, '["a","b"]'),
        (2, '["a",1]'),
        (2, '[["a"],["b"]]'),
        (1, "[]"),
        (0, "[]"),
    )
] + [
    one("every_type", f'{{"inputs":[{{"name":"INPUT_{t}","shape":[{n}],"datatype":"{t}","data":{data}}}]}}')
    for t, n, data in (
        ("BOOL", 2, "[true,false]"),
        ("BOOL", 1, "[1]"),
        ("UINT8", 3, "[0,255,256]"),
        ("UINT8", 1, "[-1]"),
        ("UINT8", 1, "[1.0]"),
        ("UINT16", 2, "[0,65535]"),
        ("UINT32", 2, "[0,4294967295]"),
        ("UINT64", 2, "[0,18446744073709551615]"),
        ("UINT64", 1, "[18446744073709551616]"),
        ("INT8", 3, "[-128,127,128]"),
        ("INT16", 2, "[-32768,32767]"),
        ("INT32", 2, "[-2147483648,2147483647]"),
        ("INT64", 2, "[-9223372036854775808,9223372036854775807]"),
        ("INT64", 1, "[9223372036854775808]"),
        ("INT64", 1, '["1"]'),
        ("FP64", 4, "[0.1,1.7976931348623157e308,5e-324,1]"),
        ("FP64", 3, "[123456789012345678,9007199254740993,1e23]"),
    )
] + [
    one("repeat_int32", '{"inputs":[{"name":"IN","shape":[1],"datatype":"INT32","data":[1]}]}'),
    one("nope", fp32("[1,2]", "[1,2]")),
    one("fails", '{"inputs":[{"name":"KIND","shape":[1],"datatype":"BYTES","data":["invalid"]}]}'),
    one("fails", '{"inputs":[{"name":"KIND","shape":[1],"datatype":"BYTES","data":["exception"]}]}'),
    one("labelled", '{"inputs":[{"name":"INPUT0","shape":[1,4],"datatype":"FP32","data":[0.25,9.5,-1,3]}],"outputs":[{"name":"OUTPUT0","parameters":{"classification":2}}]}'),
    one("labelled", '{"inputs":[{"name":"INPUT0","shape":[1,4],"datatype":"FP32","data":[0.25,9.5,-1,3]}],"outputs":[{"name":"OUTPUT0","parameters":{"classification":2,"binary_data":true}}]}'),
    one("identity_fp16", '{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"FP16","parameters":{"binary_data_size":2}}]}'),
]

# Bodies of other requests.
CONTROLS = [
    ("POST", f"/v2/{path}", body)
    for path, bodies in {
        "repository/index": ('{"ready":true}', '{"ready":false}', '{"ready":1}', "{", "[]", "{}", '{"ready":true,"ready":false}'),
        "repository/models/idle/load": ('{"parameters":{"config":1}}', '{"parameters":{"foo":"1"}}', '{"parameters":[]}', "{"),
        "systemsharedmemory/region/x/register": ("{}", '{"key":"/sluice-no-such-key","byte_size":64}', '{"key":"/k"}', '{"key":1}', '{"key":"/k","byte_size":-1}', '{"key":"/k","byte_size":1,"offset":"x"}'),
        "cudasharedmemory/region/x/register": ('{"raw_handle":{}}',),
        "trace/setting": ("{}", '{"trace_rate":"7"}', '{"trace_rate":7}', '{"trace_level":"x"}', '{"trace_level":[1]}', '{"trace_level":["TIMESTAMPS"]}', '{"trace_level":["OFF"]}', '{"trace_count":"x"}', '{"trace_rate":null}', '{"trace_file":"x"}', "", '{"trace_rate":"1000","nothing":5}'),
        "models/simple/trace/setting": ('{"trace_rate":"9"}', '{"trace_rate":null}'),
        "models/nope/trace/setting": ('{"trace_rate":"9"}',),
        "logging": ("{}", "[]", '{"log_info":true,"log_verbose_level":0,"log_format":"default"}', '{"log_info":1}', '{"log_verbose_level":-1}', '{"log_format":"X"}', '{"log_file":"x"}', '{"log_info":null}', ""),
    }.items()
    for body in bodies
]

# Requests to the generate endpoints.
GENERATIONS = [
    ("POST", f"/v2/models/{model}/{endpoint}", body)
    for model, bodies in {
        "tokens": (
            '{"text_input":"hi","parameters":{"max_tokens":2}}',
            '{"text_input":"hi","stream":true,"sampling_parameters":"{\\"max_tokens\\":3}"}',
            '{"text_input":"hi","stream":false,"id":"7","sampling_parameters":"{\\"max_tokens\\":3}"}',
            "{}",
            "",
            "[]",
            "{",
            '{"text_input":1}',
            '{"text_input":["a","b"]}',
            '{"text_input":[["a"]]}',
            '{"text_input":[]}',
            '{"text_input":"hi","x":null}',
            '{"text_input":"hi","x":[1]}',
            '{"text_input":"hi","parameters":1}',
            '{"text_input":"hi","parameters":{"x":{}}}',
            '{"text_input":"hi","text_input":"ho"}',
        ),
        "identity_fp32": ('{"INPUT0":[1,2,3]}', '{"INPUT0":3,"id":5}', '{"INPUT0":3,"id":"q","a":1,"b":2.5,"c":"x"}', '{"INPUT0":"x"}'),
        "identity_fp16": ('{"INPUT0":[1,2,3]}',),
        "repeat_int32": ('{"IN":[1,2],"DELAY":[0,0],"WAIT":0}', '{"IN":[1],"DELAY":[0],"WAIT":0}', '{"IN":[],"DELAY":[],"WAIT":0}'),
        "nope": ("{}", '{"text_input":"hi"}'),
        "simple": ('{"INPUT0":[1,2,3]}', '{"INPUT0":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]}'),
    }.items()
    for body in bodies
    for endpoint in ("generate", "generate_stream")
]


def binary(header, *tensors, **headers):
    head = json.dumps(header).encode()
    said = {"Inference-Header-Content-Length": str(len(head)), **headers}
    return head + b"".join(tensors), said


FP32 = {"inputs": [{"name": "INPUT0", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}]}
ADD = {
    "inputs": [
        {"name": "INPUT0", "shape": [1, 16], "datatype": "INT32", "parameters": {"binary_data_size": 64}},
        {"name": "INPUT1", "shape": [1, 16], "datatype": "INT32", "data": [1] * 16},
    ],
    "outputs": [{"name": "OUTPUT1", "parameters": {"binary_data": True}}, {"name": "OUTPUT0"}],
}
TWICE = {**ADD, "inputs": [ADD["inputs"][1] | {"name": "INPUT0"}, ADD["inputs"][0] | {"name": "INPUT1"}]}
BOTH = {**ADD, "inputs": [ADD["inputs"][0], {**ADD["inputs"][0], "name": "INPUT1"}], "parameters": {"binary_data_output": True}}
EMPTY = {"inputs": [{"name": "INPUT0", "shape": [1, 0], "datatype": "FP32", "parameters": {"binary_data_size": 0}}]}
NUMBERS = bytes(range(64))

# Binary bodies: (model, body, headers).
BINARIES = [
    ("identity_fp32", *binary(FP32, b"abcdefgh")),
    ("identity_fp32", *binary(FP32, b"abcdefg")),
    ("identity_fp32", *binary(FP32, b"")),
    ("identity_fp32", *binary(FP32, b"abcdefghi")),
    ("identity_fp32", *binary({**FP32, "parameters": {"binary_data_output": True}}, b"abcdefgh")),
    ("identity_fp32", *binary(EMPTY)),
    ("identity_fp32", *binary({**EMPTY, "parameters": {"binary_data_output": True}})),
    ("simple", *binary(ADD, NUMBERS)),
    ("simple", *binary(TWICE, NUMBERS)),
    ("simple", *binary(BOTH, NUMBERS, NUMBERS)),
    ("simple", *binary(BOTH, NUMBERS)),
    ("identity_fp16", *binary({"inputs": [{"name": "INPUT0", "shape": [1, 1], "datatype": "FP16", "parameters": {"binary_data_size": 2}}]}, b"ab")),
    ("identity_fp16", *binary({"inputs": [{"name": "INPUT0", "shape": [1, 1], "datatype": "FP16", "parameters": {"binary_data_size": 2}}], "parameters": {"binary_data_output": True}}, b"ab")),
    ("simple_identity", *binary({"inputs": [{"name": "INPUT0", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}}], "parameters": {"binary_data_output": True}}, b"\2\0\0\0\xff\0")),
    ("identity_fp32", b"abcdefgh", {"Inference-Header-Content-Length": "0"}),
    ("identity_fp32", b"abcdefg", {"Inference-Header-Content-Length": "0"}),
    ("identity_fp32", b"", {"Inference-Header-Content-Length": "0"}),
    ("identity_fp32", b"", {}),
    ("simple", b"abcdefgh", {"Inference-Header-Content-Length": "0"}),
    ("simple", b"", {}),
    ("simple_identity", b"abcd", {"Inference-Header-Content-Length": "0"}),
    ("labelled", b"abcdefghabcdefgh", {"Inference-Header-Content-Length": "0"}),
    ("labelled", b"abcdefgh", {"Inference-Header-Content-Length": "0"}),
    ("every_type", b"abcd", {"Inference-Header-Content-Length": "0"}),
    ("repeat_int32", b"abcd", {"Inference-Header-Content-Length": "0"}),
    ("identity_fp32", b"abcd", {"Inference-Header-Content-Length": "-1"}),
    ("identity_fp32", b"abcd", {"Inference-Header-Content-Length": "5"}),
    ("identity_fp32", b"abcd", {"Inference-Header-Content-Length": "99999999999999"}),
    ("identity_fp32", b"abcd", {"Content-Encoding": "br"}),
    ("identity_fp32", fp32("[1,2]", "[1,2]").encode(), {"Content-Encoding": "identity"}),
    ("identity_fp32", gzip.compress(fp32("[1,2]", "[1,2]").encode()), {"Content-Encoding": "gzip"}),
    ("identity_fp32", zlib.compress(fp32("[1,2]", "[1,2]").encode()), {"Content-Encoding": "deflate"}),
    ("identity_fp32", zlib.compress(fp32("[1,2]", "[1,2]").encode()), {"Content-Encoding": "gzip"}),
    ("identity_fp32", gzip.compress(binary(FP32, b"abcdefgh")[0]), {**binary(FP32)[1], "Content-Encoding": "gzip"}),
    ("identity_fp32", gzip.compress(binary(FP32, b"abcdefghi")[0]), {**binary(FP32)[1], "Content-Encoding": "gzip"}),
]

# What a caller would rather have its answer encoded as.
ACCEPTED = ("gzip", "deflate", "identity", "*", "br", "gzip;q=0.5, deflate;q=0.7", "gzip, deflate", "deflate, gzip", "gzip;q=0", "gzip;q=x", "identity;q=1, gzip;q=0.5", " gzip")
