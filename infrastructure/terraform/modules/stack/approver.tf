# Who signs approvals: a role of its own, for people alone. It may use the approval key and nothing else,
# and the key's policy lets nobody else sign.

resource "aws_iam_role" "approver" {
  name                 = "${local.name}-approver"
  description          = "Signs approvals of ${local.name}"
  max_session_duration = 3600 # seconds; the least that IAM allows
  tags                 = local.tags

  assume_role_policy = templatefile("${local.policies}/trust-approver.json.tftpl", {
    approver_principal_arn = var.site.approver_principal_arn
  })
}

resource "aws_iam_role_policy" "approver" {
  name   = "approver"
  role   = aws_iam_role.approver.name
  policy = templatefile("${local.policies}/approver.json.tftpl", { approval_key_arn = module.storage.approval_key_arn })
}
