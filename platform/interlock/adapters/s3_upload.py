"""Large files to S3 in parts, stored only if the key is free.

Here lives the multipart upload, of which nothing remains when it fails. Small files and the
meaning of errors: ``object_store.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interlock.errors import StoreError

PART_BYTES: Final = 16 * 1024 * 1024  # S3 takes parts of 5 MiB to 5 GiB
MAX_PARTS: Final = 10_000  # S3 API reference, "Multipart upload limits"
WORKERS: Final = 4  # parts in flight; each holds one part in memory


def part_size(size: int, *, least: int = PART_BYTES) -> int:
    """How large the parts of a file are.

    Args:
        size: Bytes of the file.
        least: Bytes of a part, where that makes few enough parts.

    Returns:
        Bytes per part; few enough parts for S3.
    """
    return max(least, -(-size // MAX_PARTS))


def read_part(path: Path, offset: int, length: int) -> bytes:
    """Bytes of a file.

    Args:
        path: The file.
        offset: Where they start.
        length: How many there must be.

    Raises:
        StoreError: The file cannot be read, or is shorter by now.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read for upload: {error.strerror}", remedy="check the file"
        ) from error
    if len(data) != length:
        raise StoreError(
            f"{path} became shorter while it was uploaded",
            remedy="upload a file that nobody writes to",
        )
    return data


def upload_parts(
    client: Any,
    bucket: str,
    key: str,
    path: Path,
    *,
    size: int,
    least: int,
    metadata: Mapping[str, str],
    progress: Callable[[int], None] | None,
) -> None:
    """Uploads a file in parts and completes it only if the key is free.

    Args:
        client: boto3 client of S3.
        bucket: Bucket.
        key: Key.
        path: The file.
        size: Its bytes.
        least: Bytes of a part, see ``part_size``.
        metadata: ASCII names and values.
        progress: Told the bytes of each part once it is stored.

    Raises:
        Exception: Botocore's, untranslated; the parts are removed then.
    """
    made = client.create_multipart_upload(Bucket=bucket, Key=key, Metadata=dict(metadata))
    upload = _Upload(
        client, bucket, key, made["UploadId"], path, size, part_size(size, least=least)
    )
    try:
        upload.complete(upload.send_all(progress))
    except BaseException as error:  # also an interrupt: parts would cost storage for ever
        upload.abort(error)
        raise


@dataclass(frozen=True)
class _Upload:
    client: Any
    bucket: str
    key: str
    upload_id: str
    path: Path
    size: int
    step: int

    @property
    def _target(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": self.upload_id}

    def send_all(self, progress: Callable[[int], None] | None) -> list[dict[str, Any]]:
        parts = []
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="upload")
        try:
            for sent, part in pool.map(self._send, range(1, -(-self.size // self.step) + 1)):
                parts.append(part)
                if progress is not None:
                    progress(sent)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return parts

    def complete(self, parts: list[dict[str, Any]]) -> None:
        self.client.complete_multipart_upload(
            **self._target, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
        )

    def abort(self, cause: BaseException) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # 0.2 s

        try:
            self.client.abort_multipart_upload(**self._target)
        except (BotoCoreError, ClientError) as error:
            cause.add_note(
                f"the parts of upload {self.upload_id} to s3://{self.bucket}/{self.key} "
                f"remain in the store: {error}"
            )

    def _send(self, number: int) -> tuple[int, dict[str, Any]]:
        offset = (number - 1) * self.step
        data = read_part(self.path, offset, min(self.step, self.size - offset))
        answer = self.client.upload_part(**self._target, PartNumber=number, Body=data)
        checksums = {name: answer[name] for name in answer if name.startswith("Checksum")}
        return len(data), {"PartNumber": number, "ETag": answer["ETag"], **checksums}
