"""Reads ExportMetricsServiceRequest messages from the files given and prints one JSON line per data point.

Doubles are printed as the hexadecimal digits of their bits, so that nothing is lost in text.
"""

import json
import struct
import sys

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2


def bits(value):
    return struct.pack(">d", value).hex()


def pairs(attributes):
    found = []
    for attribute in attributes:
        assert attribute.value.WhichOneof("value") == "string_value", attribute
        found.append([attribute.key, attribute.value.string_value])
    return found


def number(point):
    kind = point.WhichOneof("value")
    assert kind in (None, "as_double"), kind
    return bits(point.as_double) if kind else None


def histogram(point):
    assert not point.HasField("negative") and not point.exemplars
    return {
        "count": point.count,
        "sum": bits(point.sum) if point.HasField("sum") else None,
        "scale": point.scale,
        "zero": point.zero_count,
        "zero_threshold": bits(point.zero_threshold),
        "offset": point.positive.offset,
        "buckets": list(point.positive.bucket_counts),
    }


def lines(request):
    for resource_metrics in request.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                value = histogram if kind == "exponential_histogram" else number
                for point in data.data_points:
                    yield {
                        "resource": pairs(resource_metrics.resource.attributes),
                        "schemas": [resource_metrics.schema_url, scope_metrics.schema_url],
                        "scope": [scope_metrics.scope.name, scope_metrics.scope.version],
                        "metric": [metric.name, metric.description, metric.unit, kind],
                        "temporality": getattr(data, "aggregation_temporality", None),
                        "monotonic": getattr(data, "is_monotonic", None),
                        "attributes": pairs(point.attributes),
                        "start": point.start_time_unix_nano,
                        "at": point.time_unix_nano,
                        "flags": point.flags,
                        "value": value(point),
                    }


def unknown_fields(message):
    """Whether the definition lacks a field that was sent: a wrong field number would end there."""
    fresh = type(message)()
    fresh.CopyFrom(message)
    fresh.DiscardUnknownFields()
    return fresh.ByteSize() != message.ByteSize()


for path in sys.argv[1:]:
    with open(path, "rb") as file:
        request = metrics_service_pb2.ExportMetricsServiceRequest.FromString(file.read())
    assert not unknown_fields(request), "fields the protocol does not know"
    for line in lines(request):
        print(json.dumps(line, ensure_ascii=True))
