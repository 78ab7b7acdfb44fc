# What is kept, and the keys that it is kept under.
#
#   main.tf         buckets for data, artifacts and the audit trail, and what holds for all of them
#   audit.tf        the audit trail's Object Lock and its copy elsewhere
#   lifecycle.tf    what becomes cheaper storage and what ends, when
#   keys.tf         the key that encrypts, and the key that approvals are signed with
#   access_logs.tf  who asked the buckets for what
#
# Who may do what to a bucket or with a key is in ../../policies, which a property test reads as well.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.region
  policies   = "${path.module}/../../policies"

  # Names are unique in all of AWS, hence the account.
  buckets     = { for kind in ["data", "artifacts", "audit"] : kind => "${var.name}-${kind}-${local.account_id}" }
  policy_of   = { data = "bucket-private", artifacts = "bucket-private", audit = "bucket-audit", logs = "bucket-logs" }
  all_buckets = merge(local.buckets, { logs = "${var.name}-access-logs-${local.account_id}" })

  # As interlock/adapters/environment_mark.py writes it. The time is that of the first apply.
  now  = formatdate("YYYY-MM-DD'T'hh:mm:ss'+00:00'", plantimestamp())
  mark = <<-JSON
    {
      "schema": "interlock.environment/v1",
      "environment": "${var.environment}",
      "created": "${local.now}"
    }
  JSON
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV2_AWS_61:Each has its own in lifecycle.tf, which the check does not connect
  #checkov:skip=CKV2_AWS_62:Nothing acts on new objects; access logs say who put them there
  #checkov:skip=CKV_AWS_144:The audit trail is copied where replication is given; data and models come from their sources again
  for_each = local.all_buckets

  bucket              = each.value
  object_lock_enabled = each.key == "audit"
  force_destroy       = var.force_destroy
  tags                = var.tags
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# No access control lists: policies alone decide.
resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    bucket_key_enabled = each.key != "logs" # one request to KMS for many objects

    apply_server_side_encryption_by_default {
      # S3 delivers access logs to buckets with its own key alone.
      sse_algorithm     = each.key == "logs" ? "AES256" : "aws:kms"
      kms_master_key_id = each.key == "logs" ? null : aws_kms_key.storage.arn
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id
  policy = templatefile("${local.policies}/${local.policy_of[each.key]}.json.tftpl", {
    account_id             = local.account_id
    administrator_role_arn = var.administrator_role_arn
    bucket_arn             = each.value.arn
    console_role_arn       = var.signing_role_arns.console
    maximum_retention_days = local.maximum_retention_days
    minimum_retention_days = local.minimum_retention_days
    name                   = var.name
    partition              = local.partition
    storage_key_arn        = aws_kms_key.storage.arn
    webserver_role_arn     = var.signing_role_arns.webserver
  })

  # The mark comes first: afterwards even the administrator cannot put what carries no lock.
  depends_on = [aws_s3_bucket_public_access_block.this, aws_s3_object.mark]
}

# Which environment a bucket is for. Written once; in the audit bucket the default lock holds it.
resource "aws_s3_object" "mark" {
  for_each = local.buckets

  bucket       = aws_s3_bucket.this[each.key].id
  key          = "_interlock/environment.json"
  content      = local.mark
  content_type = "application/json"

  checksum_algorithm = "SHA256" # S3 demands one of what it locks
  tags               = var.tags

  lifecycle {
    # A mark is never edited, the time passes, and the lock is the bucket's own.
    ignore_changes = [content, object_lock_mode, object_lock_retain_until_date]
  }

  depends_on = [
    aws_s3_bucket_versioning.this,
    aws_s3_bucket_object_lock_configuration.audit,
    aws_s3_bucket_server_side_encryption_configuration.this,
  ]
}
