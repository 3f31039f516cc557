"""The masked CRC32C beside everything that TensorFlow writes.

https://www.tensorflow.org/tutorials/load_data/tfrecord says how it is masked, RFC 3720 what is.
"""

from __future__ import annotations

from pleinair.errors import MissingExtraError


def masked_crc32c(*parts: bytes) -> int:
    """The checksum of these bytes one after another. Raises MissingExtraError."""
    try:
        import google_crc32c
    except ImportError as error:
        raise MissingExtraError(
            "google-crc32c is not installed; run pip install 'pleinair[import]' to read what "
            "TensorFlow wrote."
        ) from error
    crc = 0
    for part in parts:
        crc = int(google_crc32c.extend(crc, part))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
