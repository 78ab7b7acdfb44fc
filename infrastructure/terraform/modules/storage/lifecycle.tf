# What becomes cheaper storage, and what ends. In the audit bucket nothing ends but interrupted uploads, not
# even after its retention; its events are too small for cheaper classes, which bill 128 KB at least.
# Environment marks (_interlock/) are touched nowhere: the oldest version of a mark is the one that counts.

resource "aws_s3_bucket_lifecycle_configuration" "data" {
  bucket = aws_s3_bucket.this["data"].id

  rule {
    id     = "interrupted-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  # Snapshots are evidence: they move, they never end, nor do overwritten versions of them.
  rule {
    id     = "old-snapshots"
    status = "Enabled"

    filter {
      object_size_greater_than = 131072 # bytes; smaller ones cost more in the cheaper class
    }

    transition {
      days          = var.archive_after_days
      storage_class = "STANDARD_IA"
    }

    noncurrent_version_transition {
      noncurrent_days = 30
      storage_class   = "STANDARD_IA"
    }
  }

  # A lease is renewed every few seconds while a run works, each time as a new version.
  rule {
    id     = "leases"
    status = "Enabled"

    filter {
      prefix = "leases/"
    }

    expiration {
      expired_object_delete_marker = true
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "artifacts" {
  bucket = aws_s3_bucket.this["artifacts"].id

  rule {
    id     = "leftovers"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    expiration {
      expired_object_delete_marker = true # a marker with nothing left under it
    }
  }

  rule {
    id     = "models"
    status = "Enabled"

    filter {
      prefix = "mlflow/"
    }

    transition {
      days          = var.archive_after_days
      storage_class = "STANDARD_IA"
    }

    # What MLflow deleted can be brought back for so long.
    noncurrent_version_expiration {
      noncurrent_days = 90
    }
  }

  rule {
    id     = "what-steps-printed"
    status = "Enabled"

    filter {
      prefix = "dagster/"
    }

    expiration {
      days = var.log_retention_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "audit" {
  bucket = aws_s3_bucket.this["audit"].id

  rule {
    id     = "interrupted-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket = aws_s3_bucket.this["logs"].id

  rule {
    id     = "old-logs"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    expiration {
      days = var.log_retention_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
