"""Options that several commands share, each with one default."""

from pathlib import Path
from typing import Annotated

import typer

from geoclip.precision import Precision
from geoclip.writers import Format

Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PHOTO... | FOLDER | -",
        help="Photos, folders of photos (searched deeply), or - for one photo on stdin.",
    ),
]
FromList = Annotated[
    Path | None,
    typer.Option("--from-list", metavar="FILE", help="Read more paths from a file, one a line; - for stdin."),
]
Top = Annotated[int, typer.Option("--top", "-k", min=1, help="Places per query.")]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", "-f", help="How to write answers. Default: by the suffix of --output, else table."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write here (.jsonl or .csv) in place of stdout."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a stopped run: skip what --output holds already.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace --output if it exists.")]
ClipCheckpoint = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        envvar="GEOCLIP_CLIP_CHECKPOINT",
        help="CLIP ViT-L/14's weights: a file or folder in open_clip's, OpenAI's or transformers' format. "
        "Default: open_clip's model hub, downloaded once (1.7 GB).",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
PrecisionOption = Annotated[Precision, typer.Option(help="Arithmetic of CLIP; auto is bf16 where the hardware has it.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=256, help="Processes that decode photos. Default: one a core, at most 8."),
]
MaxMegapixels = Annotated[int, typer.Option(min=1, max=178, help="Larger photos are refused.")]
AsReleased = Annotated[
    bool,
    typer.Option(
        "--as-released",
        help="Read photos as the authors' package does: EXIF rotation ignored, alpha dropped.",
    ),
]
