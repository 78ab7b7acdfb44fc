"""Each Terraform module says what it takes, and its README says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.readme import BEGIN, END, TERRAFORM, Input, module_folders, read_module, readme

FOLDERS = module_folders()
NAMES = [str(folder.relative_to(TERRAFORM)) for folder in FOLDERS]
QUARTET = ("main.tf", "variables.tf", "outputs.tf", "versions.tf")

EXAMPLE = """
variable "size" {
  description = "How many | at most."
  type        = number
  default     = 3

  validation {
    condition     = var.size > 0
    error_message = "At least one."
  }
}

variable "owner" {
  # Any text is right: it is shown, never read.
  description = <<-EOT
    Who is asked
    when it breaks.
  EOT
  type        = object({ name = string, mail = optional(string, "none") })
}

variable "password" {
  description = "Secret."
  type        = string
  ephemeral   = true
  default     = null
}

resource "aws_s3_bucket" "this" {}
data "aws_region" "current" {}
ephemeral "aws_secretsmanager_random_password" "this" {}

output "id" {
  description = "Which one."
  value       = aws_s3_bucket.this.id
}
"""


@pytest.fixture
def example(tmp_path: Path) -> Path:
    (tmp_path / "main.tf").write_text(EXAMPLE, encoding="utf-8")
    return tmp_path


def unexplained(each: Input) -> list[str]:
    """What a variable leaves open."""
    open_points = []
    if not each.type:
        open_points.append("no type")
    if not each.description:
        open_points.append("no description")
    # Both values of a bool are right; anything else is validated, or a comment says why not.
    if each.type != "bool" and not each.validations and not each.comments:
        open_points.append("neither a validation nor a comment that says why any value is right")
    return open_points


def test_there_are_modules_to_read() -> None:
    assert "modules/storage" in NAMES


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_readme_is_in_step_with_the_files(folder: Path) -> None:
    path = folder / "README.md"
    assert path.is_file(), "run `python -m infrastructure.readme`"
    found = path.read_text(encoding="utf-8")
    assert found == readme(read_module(folder), found), "run `python -m infrastructure.readme`"
    assert BEGIN in found
    assert END in found


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_every_variable_is_typed_described_and_validated(folder: Path) -> None:
    inputs = read_module(folder).inputs
    found = {each.name: points for each in inputs if (points := unexplained(each))}
    assert found == {}


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_every_output_is_described(folder: Path) -> None:
    assert [each.name for each in read_module(folder).outputs if not each.description] == []


@pytest.mark.parametrize(
    "folder", [f for f in FOLDERS if f.parent.name == "modules"], ids=lambda f: f.name
)
def test_modules_have_the_four_files(folder: Path) -> None:
    assert [name for name in QUARTET if not (folder / name).is_file()] == []


@pytest.mark.parametrize(
    ("line", "point"),
    [
        ('variable "x" {\n description = "d"\n default = [1]\n}', "no type"),
        ('variable "x" {\n type = number\n default = 1\n}', "no description"),
        ('variable "x" {\n type = number\n description = "d"\n}', "neither a validation"),
    ],
)
def test_a_variable_that_leaves_something_open_is_found(
    tmp_path: Path, line: str, point: str
) -> None:
    (tmp_path / "variables.tf").write_text(f"{line}\n", encoding="utf-8")
    (found,) = read_module(tmp_path).inputs
    assert any(each.startswith(point) for each in unexplained(found))


def test_tables_tell_what_the_files_declare(example: Path) -> None:
    text = readme(read_module(example), "")
    assert text.startswith(f"# {example.name}\n\n{BEGIN}\n")
    assert "| `size` | `number` | `3` | How many \\| at most. |" in text
    assert "| required | Who is asked when it breaks. |" in text
    assert "| `password` | `string` | `null` | Secret. (ephemeral) |" in text
    assert "| `id` | Which one. |" in text
    for address in (
        "aws_s3_bucket.this",
        "data.aws_region.current",
        "ephemeral.aws_secretsmanager_random_password.this",
    ):
        assert f"| `{address}` |" in text


def test_what_is_written_by_hand_stays(example: Path) -> None:
    module = read_module(example)
    by_hand = f"# Mine\n\nBefore.\n\n{BEGIN}\n\nold\n\n{END}\nAfter.\n"
    text = readme(module, by_hand)
    assert text.startswith(f"# Mine\n\nBefore.\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\nAfter.\n")
    assert "old" not in text
    assert readme(module, text) == text


def test_a_changed_variable_makes_the_readme_stale(example: Path) -> None:
    before = readme(read_module(example), "")
    (example / "main.tf").write_text(EXAMPLE.replace("default     = 3", "default     = 4"))
    assert readme(read_module(example), before) != before
