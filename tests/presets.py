"""The presets, each with the files that it is put over."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "workflow/presets"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
BEFORE = {
    "ablations": ["paper"],
    "ablations-miniature": ["ablations"],
    "rehearsal": ["paper"],
}
"""What is named before presets that do not stand alone over params.yaml."""


def files_of(name: str) -> list[Path]:
    """Files of parameters to name for a preset, in order; for "params" that file alone."""
    presets = [] if name == "params" else [*BEFORE.get(name, []), name]
    return [ROOT / "params.yaml", *(FOLDER / f"{preset}.yaml" for preset in presets)]
