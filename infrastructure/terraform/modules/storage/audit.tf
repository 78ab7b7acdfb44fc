# The audit trail: nothing in it can be changed or removed before its time, by anybody.

locals {
  # S3 counts the days that are left of a lock in whole days, and a lock begins some moments before S3 sees
  # it: an event locked for 90 days may count as 89.
  minimum_retention_days = var.retention_days - 1

  # Nobody can take a lock back, so a writer must not be able to lock for a century either. The day is for
  # clocks that differ.
  maximum_retention_days = var.retention_days + 1
}

resource "aws_s3_bucket_object_lock_configuration" "audit" {
  bucket = aws_s3_bucket.this["audit"].id

  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = var.retention_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

# A copy that an intruder in this account cannot reach. The other bucket has Object Lock as well: locks
# are copied with the objects, and delete markers are not.

resource "aws_iam_role" "replication" {
  count = var.replication == null ? 0 : 1

  name        = "${var.name}-replication"
  description = "Copies the audit trail of ${var.name}"
  tags        = var.tags

  assume_role_policy = templatefile("${local.policies}/trust-replication.json.tftpl", {
    account_id = local.account_id
    bucket_arn = aws_s3_bucket.this["audit"].arn
  })
}

resource "aws_iam_role_policy" "replication" {
  count = var.replication == null ? 0 : 1

  name = "replication"
  role = aws_iam_role.replication[0].name
  policy = templatefile("${local.policies}/replication.json.tftpl", {
    bucket_arn             = aws_s3_bucket.this["audit"].arn
    destination_bucket_arn = var.replication.bucket_arn
    destination_key_arn    = var.replication.kms_key_arn
    region                 = local.region
    storage_key_arn        = aws_kms_key.storage.arn
  })
}

resource "aws_s3_bucket_replication_configuration" "audit" {
  count = var.replication == null ? 0 : 1

  bucket = aws_s3_bucket.this["audit"].id
  role   = aws_iam_role.replication[0].arn

  rule {
    id     = "audit-trail"
    status = "Enabled"

    filter {}

    delete_marker_replication {
      status = "Disabled"
    }

    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }

    destination {
      account       = var.replication.account_id
      bucket        = var.replication.bucket_arn
      storage_class = "STANDARD_IA"

      # The copy belongs to the account that keeps it.
      dynamic "access_control_translation" {
        for_each = var.replication.account_id == local.account_id ? [] : [1]

        content {
          owner = "Destination"
        }
      }

      encryption_configuration {
        replica_kms_key_id = var.replication.kms_key_arn
      }

      metrics {
        status = "Enabled"

        event_threshold {
          minutes = 15
        }
      }

      replication_time {
        status = "Enabled"

        time {
          minutes = 15
        }
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this, aws_iam_role_policy.replication]
}
