"""
Protobuf messages of which only some fields are read: the same wire format, less work.

A field that is not named is skipped, and a message may be named as the bytes that it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

BYTES = FieldDescriptorProto.TYPE_BYTES
STRING = FieldDescriptorProto.TYPE_STRING
INT32 = FieldDescriptorProto.TYPE_INT32
FIXED64 = FieldDescriptorProto.TYPE_FIXED64

ONE = FieldDescriptorProto.LABEL_OPTIONAL
MANY = FieldDescriptorProto.LABEL_REPEATED
REQUIRED = FieldDescriptorProto.LABEL_REQUIRED


class Field(NamedTuple):
    """One field of a message."""

    number: int
    name: str
    kind: int | str
    """A scalar's type, or the name of a message."""
    label: int = ONE


def message_classes(package: str, messages: Mapping[str, Sequence[Field]]) -> dict[str, Any]:
    """
    Return a class for each message.

    Args:
        package: A name that no other caller uses.
        messages: Their fields, by name.
    """
    file = FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for number, field_name, kind, label in fields:
            is_message = isinstance(kind, str)
            message.field.add(
                name=field_name,
                number=number,
                label=label,
                type=FieldDescriptorProto.TYPE_MESSAGE if is_message else kind,
                type_name=f".{package}.{kind}" if is_message else None,
            )
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages
    }
