mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                   = "interlock-dev"
  environment            = "dev"
  retention_days         = 1
  administrator_role_arn = "arn:aws:iam::123456789012:role/administrator"
  approver_role_arn      = "arn:aws:iam::123456789012:role/interlock-dev-approver"
  signing_role_arns = {
    webserver = "arn:aws:iam::123456789012:role/interlock-dev-task-webserver"
    console   = "arn:aws:iam::123456789012:role/interlock-dev-task-console"
    daemon    = "arn:aws:iam::123456789012:role/interlock-dev-task-daemon"
  }
}

run "buckets_are_marked_for_their_environment" {
  assert {
    condition = alltrue([for kind in ["data", "artifacts", "audit"] :
      aws_s3_object.mark[kind].key == "_interlock/environment.json" &&
      jsondecode(aws_s3_object.mark[kind].content).schema == "interlock.environment/v1" &&
    jsondecode(aws_s3_object.mark[kind].content).environment == "dev"])
    error_message = "A bucket carries no mark, or a wrong one."
  }
}

run "the_audit_bucket_is_locked" {
  variables {
    environment    = "prod"
    retention_days = 2555
  }

  assert {
    condition     = { for kind, bucket in aws_s3_bucket.this : kind => bucket.object_lock_enabled } == { artifacts = false, audit = true, data = false, logs = false }
    error_message = "Object Lock is for the audit bucket, and for it alone."
  }
  assert {
    condition = (aws_s3_bucket_object_lock_configuration.audit.rule[0].default_retention[0].mode == "COMPLIANCE"
    && aws_s3_bucket_object_lock_configuration.audit.rule[0].default_retention[0].days == 2555)
    error_message = "The default lock is not COMPLIANCE for the given days."
  }
  assert {
    condition     = alltrue([for v in aws_s3_bucket_versioning.this : v.versioning_configuration[0].status == "Enabled"])
    error_message = "A bucket keeps no versions."
  }
  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : !bucket.force_destroy])
    error_message = "A bucket could be destroyed with what it holds."
  }
}

run "a_mark_is_never_edited" {
  variables {
    environment = "staging"
  }

  assert {
    condition     = jsondecode(aws_s3_object.mark["data"].content).environment == "dev"
    error_message = "A bucket was moved to another environment."
  }
}

run "the_audit_policy_denies_everybody" {
  variables {
    retention_days = 90
  }

  assert {
    condition = length(setsubtract(
      ["NothingInTheClear", "NoOutdatedTls", "NobodyDeletes", "NothingOverwritten", "NothingUnlocked", "LockedLongEnough", "LockedNoLonger", "BucketByTheAdministratorAlone"],
      [for s in jsondecode(aws_s3_bucket_policy.this["audit"].policy).Statement : s.Sid if s.Effect == "Deny" && s.Principal.AWS == "*"]
    )) == 0
    error_message = "The policy of the audit bucket lacks a denial."
  }
  assert {
    condition     = alltrue([for s in jsondecode(aws_s3_bucket_policy.this["audit"].policy).Statement : s.Effect == "Deny"])
    error_message = "The policy of the audit bucket permits something."
  }
  assert {
    condition = [for s in jsondecode(aws_s3_bucket_policy.this["audit"].policy).Statement :
    s.Condition.NumericLessThan["s3:object-lock-remaining-retention-days"] if s.Sid == "LockedLongEnough"] == ["89"]
    error_message = "Short locks are let through."
  }
  assert {
    condition = [for s in jsondecode(aws_s3_bucket_policy.this["audit"].policy).Statement :
    s.Condition.NumericGreaterThan["s3:object-lock-remaining-retention-days"] if s.Sid == "LockedNoLonger"] == ["91"]
    error_message = "Locks of any length are let through."
  }
  assert {
    condition = [for s in jsondecode(aws_s3_bucket_policy.this["audit"].policy).Statement :
    s.Condition.ArnNotLike["aws:PrincipalArn"] if s.Sid == "BucketByTheAdministratorAlone"] == [var.administrator_role_arn]
    error_message = "Somebody else than the administrator changes the lock."
  }
}

run "nothing_is_public" {
  assert {
    condition = alltrue([for kind in keys(aws_s3_bucket.this) :
      aws_s3_bucket_public_access_block.this[kind].block_public_acls && aws_s3_bucket_public_access_block.this[kind].block_public_policy &&
    aws_s3_bucket_public_access_block.this[kind].ignore_public_acls && aws_s3_bucket_public_access_block.this[kind].restrict_public_buckets])
    error_message = "A bucket could be made public."
  }
  assert {
    condition     = alltrue([for kind in keys(aws_s3_bucket.this) : aws_s3_bucket_ownership_controls.this[kind].rule[0].object_ownership == "BucketOwnerEnforced"])
    error_message = "A bucket has access control lists."
  }
  assert {
    condition = alltrue([for kind in keys(aws_s3_bucket.this) :
    contains([for s in jsondecode(aws_s3_bucket_policy.this[kind].policy).Statement : s.Sid if s.Effect == "Deny"], "NothingInTheClear")])
    error_message = "A bucket answers without TLS."
  }
}

run "everything_is_encrypted" {
  assert {
    condition = alltrue([for kind in ["data", "artifacts", "audit"] : one([for each_default in aws_s3_bucket_server_side_encryption_configuration.this[kind].rule :
    each_default.bucket_key_enabled && one(each_default.apply_server_side_encryption_by_default).sse_algorithm == "aws:kms" && one(each_default.apply_server_side_encryption_by_default).kms_master_key_id == aws_kms_key.storage.arn])])
    error_message = "A bucket is not encrypted with the storage key."
  }
  assert {
    condition     = aws_kms_key.storage.enable_key_rotation
    error_message = "The storage key is never rotated."
  }
  assert {
    condition = [for s in jsondecode(aws_kms_key.storage.policy).Statement :
    s.Condition.NumericLessThan["kms:ScheduleKeyDeletionPendingWindowInDays"] if s.Sid == "KeyOutlivesTheTrail"] == [tostring(var.retention_days)]
    error_message = "The key could be deleted while the trail is locked."
  }
}

run "the_approval_key_signs_and_nothing_else" {
  assert {
    condition     = aws_kms_key.approval.customer_master_key_spec == "ECC_NIST_P256" && aws_kms_key.approval.key_usage == "SIGN_VERIFY"
    error_message = "Approvals are signed with ECDSA over P-256."
  }
  assert {
    condition     = output.approval_key_alias == "alias/interlock-dev-approval"
    error_message = "The alias has another name."
  }
  assert {
    condition = [for s in jsondecode(aws_kms_key.approval.policy).Statement :
    s.Condition.ArnNotEquals["aws:PrincipalArn"] if s.Sid == "SignedByNobodyElse"] == [[var.approver_role_arn, var.signing_role_arns.webserver, var.signing_role_arns.console]]
    error_message = "Somebody else than the approver, and who knows the approver, could sign."
  }
  assert {
    condition     = !strcontains(aws_kms_key.approval.policy, "kms:*")
    error_message = "The approval key's policy permits everything to somebody."
  }
}

run "the_identity_key_signs_for_whoever_knows_who_acts" {
  assert {
    condition     = aws_kms_key.identity.customer_master_key_spec == "ECC_NIST_P256" && aws_kms_key.identity.key_usage == "SIGN_VERIFY" && output.identity_key_alias == "alias/interlock-dev-identity"
    error_message = "Who acts is signed with ECDSA over P-256."
  }
  assert {
    condition = [for s in jsondecode(aws_kms_key.identity.policy).Statement :
    s.Condition.ArnNotEquals["aws:PrincipalArn"] if s.Sid == "SignedByNobodyElse"] == [[var.signing_role_arns.webserver, var.signing_role_arns.console, var.signing_role_arns.daemon]]
    error_message = "Somebody else could say who acts."
  }
}

run "an_administrator_who_signs_is_refused" {
  command = plan

  variables {
    signing_role_arns = {
      webserver = "arn:aws:iam::123456789012:role/administrator"
      console   = "arn:aws:iam::123456789012:role/interlock-dev-task-console"
      daemon    = "arn:aws:iam::123456789012:role/interlock-dev-task-daemon"
    }
  }

  expect_failures = [var.signing_role_arns]
}

run "the_trail_never_ends_and_marks_stay" {
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.audit.rule : length(rule.expiration) == 0 && length(rule.noncurrent_version_expiration) == 0 && length(rule.transition) == 0])
    error_message = "Something in the audit bucket would end by itself."
  }
  assert {
    condition = alltrue([for rule in concat(aws_s3_bucket_lifecycle_configuration.data.rule, aws_s3_bucket_lifecycle_configuration.artifacts.rule) :
    try(rule.filter[0].prefix, "") != "" || length(rule.noncurrent_version_expiration) == 0])
    error_message = "The oldest version of a mark, the one that counts, would end."
  }
  assert {
    condition = alltrue([for configuration in [aws_s3_bucket_lifecycle_configuration.data, aws_s3_bucket_lifecycle_configuration.artifacts, aws_s3_bucket_lifecycle_configuration.audit] :
    anytrue([for rule in configuration.rule : length(rule.abort_incomplete_multipart_upload) == 1])])
    error_message = "Interrupted uploads are kept for ever."
  }
}

run "access_is_logged" {
  assert {
    condition     = toset(keys(aws_s3_bucket_logging.this)) == toset(["data", "artifacts", "audit"])
    error_message = "A bucket keeps no access log."
  }
}

run "nothing_is_copied_unless_asked" {
  assert {
    condition     = length(aws_s3_bucket_replication_configuration.audit) == 0 && length(aws_iam_role.replication) == 0
    error_message = "The trail is copied though nobody asked."
  }
}

run "the_copy_belongs_to_the_other_account" {
  variables {
    replication = {
      bucket_arn  = "arn:aws:s3:::audit-copies"
      kms_key_arn = "arn:aws:kms:eu-west-1:210987654321:key/11111111-2222-3333-4444-555555555555"
      account_id  = "210987654321"
    }
  }

  assert {
    condition     = aws_s3_bucket_replication_configuration.audit[0].rule[0].delete_marker_replication[0].status == "Disabled"
    error_message = "Delete markers would be copied."
  }
  assert {
    condition = (aws_s3_bucket_replication_configuration.audit[0].rule[0].destination[0].account == "210987654321"
    && aws_s3_bucket_replication_configuration.audit[0].rule[0].destination[0].access_control_translation[0].owner == "Destination")
    error_message = "The copy would belong to the account that it is to be safe from."
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.replication[0].policy, "s3:ReplicateDelete")
    error_message = "The copying role could copy deletions."
  }
}

run "no_retention_is_refused" {
  command = plan

  variables {
    retention_days = 0
  }

  expect_failures = [var.retention_days]
}

run "half_a_day_is_refused" {
  command = plan

  variables {
    retention_days = 1.5
  }

  expect_failures = [var.retention_days]
}

run "a_short_retention_in_prod_is_refused" {
  command = plan

  variables {
    environment    = "prod"
    retention_days = 90
  }

  expect_failures = [var.retention_days]
}

run "an_administrator_with_wildcards_is_refused" {
  command = plan

  variables {
    administrator_role_arn = "arn:aws:iam::123456789012:role/*"
  }

  expect_failures = [var.administrator_role_arn]
}

run "an_approver_who_administers_is_refused" {
  command = plan

  variables {
    approver_role_arn = "arn:aws:iam::123456789012:role/administrator"
  }

  expect_failures = [var.approver_role_arn]
}

run "emptying_buckets_outside_dev_is_refused" {
  command = plan

  variables {
    environment   = "staging"
    force_destroy = true
  }

  expect_failures = [var.force_destroy]
}

run "a_copy_without_a_key_is_refused" {
  command = plan

  variables {
    replication = { bucket_arn = "arn:aws:s3:::audit-copies", kms_key_arn = "none", account_id = "210987654321" }
  }

  expect_failures = [var.replication]
}
