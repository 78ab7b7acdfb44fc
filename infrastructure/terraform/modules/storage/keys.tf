# Three keys: one encrypts what is stored, one signs approvals, one signs who acts. No run can use either of
# those that sign, and the administrator of all can use none without changing a policy, which CloudTrail records.

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
  description              = "Signs approvals of ${var.name}; for the approver, and the web servers that know who approves"
  customer_master_key_spec = "ECC_NIST_P256"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = var.environment == "dev" ? 7 : 30
  tags                     = var.tags

  policy = templatefile("${local.policies}/key-approval.json.tftpl", {
    account_id             = local.account_id
    administrator_role_arn = var.administrator_role_arn
    approver_role_arn      = var.approver_role_arn
    console_role_arn       = var.signing_role_arns.console
    partition              = local.partition
    webserver_role_arn     = var.signing_role_arns.webserver
  })
}

resource "aws_kms_alias" "approval" {
  name          = "alias/${var.name}-approval"
  target_key_id = aws_kms_key.approval.key_id
}

# Who acts, from signing in to the asset. Changed as the approval key is; runs that wait in the queue carry what
# the key before signed.
resource "aws_kms_key" "identity" {
  #checkov:skip=CKV_AWS_7: KMS cannot rotate asymmetric keys
  description              = "Signs who acts in ${var.name}; for web server, console and daemon"
  customer_master_key_spec = "ECC_NIST_P256"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = var.environment == "dev" ? 7 : 30
  tags                     = var.tags

  policy = templatefile("${local.policies}/key-identity.json.tftpl", {
    account_id             = local.account_id
    administrator_role_arn = var.administrator_role_arn
    console_role_arn       = var.signing_role_arns.console
    daemon_role_arn        = var.signing_role_arns.daemon
    partition              = local.partition
    webserver_role_arn     = var.signing_role_arns.webserver
  })
}

resource "aws_kms_alias" "identity" {
  name          = "alias/${var.name}-identity"
  target_key_id = aws_kms_key.identity.key_id
}

# Believed by everybody; read here, so that no process asks the key service whose signature counts.
data "aws_kms_public_key" "approval" {
  key_id = aws_kms_alias.approval.name
}

data "aws_kms_public_key" "identity" {
  key_id = aws_kms_alias.identity.name
}
