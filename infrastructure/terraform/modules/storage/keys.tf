# Two keys with nothing in common: one encrypts what is stored, the other signs approvals. No role can use
# both, and the administrator of both can use neither without changing a policy, which CloudTrail records.

# A lock is worth no more than the key: without it the trail is there and cannot be read. So the key's policy
# lets nobody delete it with less notice than the retention. KMS gives 30 days at most; with a longer retention
# the key cannot be deleted before its policy is changed.
resource "aws_kms_key" "storage" {
  description             = "Encrypts buckets, database, images, logs and secrets of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = var.environment == "dev" ? 7 : 30
  tags                    = var.tags

  policy = templatefile("${local.policies}/key-storage.json.tftpl", {
    account_id             = local.account_id
    administrator_role_arn = var.administrator_role_arn
    partition              = local.partition
    region                 = local.region
    retention_days         = var.retention_days
  })
}

resource "aws_kms_alias" "storage" {
  name          = "alias/${var.name}-storage"
  target_key_id = aws_kms_key.storage.key_id
}

# KMS rotates no asymmetric key: a new one would have another public key, and signatures of the old one must
# stay verifiable. To change it, make a second key, move the alias, and keep the first as long as approvals
# signed with it count.
resource "aws_kms_key" "approval" {
  #checkov:skip=CKV_AWS_7: KMS cannot rotate asymmetric keys
  description              = "Signs approvals of ${var.name}; for the approver alone"
  customer_master_key_spec = "ECC_NIST_P256"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = var.environment == "dev" ? 7 : 30
  tags                     = var.tags

  policy = templatefile("${local.policies}/key-approval.json.tftpl", {
    account_id             = local.account_id
    administrator_role_arn = var.administrator_role_arn
    approver_role_arn      = var.approver_role_arn
    partition              = local.partition
  })
}

resource "aws_kms_alias" "approval" {
  name          = "alias/${var.name}-approval"
  target_key_id = aws_kms_key.approval.key_id
}
