# The bucket of Terraform's state, one for each account. Applied once, with local state, before any
# environment: `terraform init && terraform apply`. Keep terraform.tfstate of this folder; it holds no secret.
# The lock of a state is an object beside it (use_lockfile), so there is no table.

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      owner       = var.owner
      environment = "shared"
      cost_centre = var.cost_centre
    }
  }
}

data "aws_partition" "current" {}

locals {
  bucket   = "interlock-state-${var.account_id}-${var.region}"
  policies = "${path.module}/../policies"
}

resource "aws_kms_key" "state" {
  description             = "Encrypts Terraform's state of Interlock"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = templatefile("${local.policies}/key-state.json.tftpl", {
    account_id             = var.account_id
    administrator_role_arn = var.administrator_role_arn
    partition              = data.aws_partition.current.partition
  })
}

resource "aws_kms_alias" "state" {
  name          = "alias/interlock-state"
  target_key_id = aws_kms_key.state.key_id
}

resource "aws_s3_bucket" "state" {
  #checkov:skip=CKV_AWS_18:CloudTrail records who touches it; a second bucket for its log would want a third
  #checkov:skip=CKV_AWS_144:Versions bring a state back; without its region, what it describes is gone too
  #checkov:skip=CKV2_AWS_62:Nothing acts on a new state
  bucket = local.bucket

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket                  = aws_s3_bucket.state.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.state.arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    id     = "earlier-states"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days           = 365
      newer_noncurrent_versions = 50
    }

    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.state]
}

resource "aws_s3_bucket_policy" "state" {
  bucket = aws_s3_bucket.state.id
  policy = templatefile("${local.policies}/bucket-state.json.tftpl", {
    administrator_role_arn = var.administrator_role_arn
    bucket_arn             = aws_s3_bucket.state.arn
  })

  depends_on = [aws_s3_bucket_public_access_block.state]
}
