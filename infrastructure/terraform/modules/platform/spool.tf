# Where audit records wait that S3 did not take. In compose that is a volume; a Fargate task's own disk
# ends with the task, and the record would end with it. Runs write, the drift monitor counts.

resource "aws_efs_file_system" "spool" {
  #checkov:skip=CKV2_AWS_18:What waits here is minutes old and goes to S3 with the next run; the trail itself is never restored from a backup
  creation_token  = "${var.name}-spool"
  encrypted       = true
  kms_key_id      = var.kms_key_arn
  throughput_mode = "elastic"
  tags            = merge(var.tags, { Name = "${var.name}-spool" })
}

resource "aws_efs_mount_target" "spool" {
  count = length(var.private_subnet_ids)

  file_system_id  = aws_efs_file_system.spool.id
  subnet_id       = var.private_subnet_ids[count.index]
  security_groups = [aws_security_group.this["spool"].id]
}

resource "aws_efs_access_point" "spool" {
  file_system_id = aws_efs_file_system.spool.id
  tags           = merge(var.tags, { Name = "${var.name}-spool" })

  posix_user {
    uid = local.user_id
    gid = local.user_id
  }

  root_directory {
    path = "/spool"

    creation_info {
      owner_uid   = local.user_id
      owner_gid   = local.user_id
      permissions = "0700"
    }
  }
}

resource "aws_efs_file_system_policy" "spool" {
  file_system_id = aws_efs_file_system.spool.id
  policy = templatefile("${local.policies}/file-system-spool.json.tftpl", {
    monitoring_task_role_arn = aws_iam_role.task["monitoring"].arn
    run_task_role_arn        = aws_iam_role.task["run"].arn
    spool_access_point_arn   = aws_efs_access_point.spool.arn
    spool_arn                = aws_efs_file_system.spool.arn
  })
}
