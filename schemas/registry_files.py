"""The registry as people write it: YAML files, read and checked as a whole.

Everything that is wrong is reported at once, each with its file and line.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from schemas.entry import Entry
from schemas.instrument_checks import instrument_faults
from schemas.problem import ConfigurationError, Problem, in_words
from schemas.registry import INCONSISTENT_SITE, Registry, Site, Tenant
from schemas.registry_checks import Fault, Location, did_you_mean, registry_faults
from schemas.yaml_places import Document, read_document

SECTIONS: dict[str, type[Entry]] = {"tenants": Tenant, "sites": Site}


def load_registry(path: Path, *, known_regions: Collection[str], known_plans: Collection[str]) -> Registry:
    """Read and check a registry.

    Parameters
    ----------
    path
        A YAML file, or a directory whose `*.yaml` and `*.yml` files are taken together.
    known_regions
        Region codes of the reference data.
    known_plans
        Tariff plans of the reference data.

    Raises
    ------
    ConfigurationError
        With everything that is wrong.
    """
    registry, problems = check_registry(path, known_regions=known_regions, known_plans=known_plans)
    if problems or registry is None:
        raise ConfigurationError(problems)
    return registry


def check_registry(
    path: Path, *, known_regions: Collection[str], known_plans: Collection[str]
) -> tuple[Registry | None, list[Problem]]:
    """Read a registry and list everything that is wrong with it; there is one only if nothing is wrong.

    Parameters
    ----------
    path
        A YAML file, or a directory whose `*.yaml` and `*.yml` files are taken together.
    known_regions
        Region codes of the reference data.
    known_plans
        Tariff plans of the reference data.
    """
    problems: list[Problem] = []
    documents: list[Document] = []
    files = _files(path, problems)
    for file in files:
        document, wrong = read_document(file)
        problems += wrong
        if document is not None:
            documents.append(document)
    whole = _Whole(path, documents)
    problems += whole.section_problems()
    shape = list(whole.shape_problems())
    wrong_places = {location for location, _ in shape}
    problems += [problem for _, problem in shape]
    problems += [
        whole.problem(fault.location, fault.text)
        for fault in (*registry_faults(whole.data, known_regions, known_plans), *instrument_faults(whole.data))
        if not _explained(fault, wrong_places)
        # the tenant may be in a file that could not be read
        and not (fault.location[2:] == ("tenant",) and len(documents) < len(files))
    ]
    if problems:
        return None, sorted(dict.fromkeys(problems), key=lambda problem: (problem.source, problem.line or 0))
    if not whole.data["sites"]:
        return None, [Problem(str(path), "there are no sites; expected at least one under `sites:`")]
    return Registry.model_validate(whole.data), []


def _explained(fault: Fault, wrong_places: Collection[Location]) -> bool:
    """Whether what was found wrong with single entries already says it."""
    depth = len(fault.location)
    return fault.location in wrong_places or any(
        place[:depth] == fault.location and place[-1] == fault.rests_on for place in wrong_places
    )


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml"} and file.is_file())
    if not files:
        problems.append(Problem(str(path), "holds no *.yaml file; expected the registry's files"))
    return files


class _Whole:
    """The documents taken together, with the way back from each place in them to file and line."""

    def __init__(self, path: Path, documents: list[Document]) -> None:
        self.path = path
        self.documents = documents
        self.data: dict[str, list[object]] = {section: [] for section in SECTIONS}
        self._origins: dict[tuple[str, int], tuple[Document, int]] = {}
        for document in documents:
            for section in SECTIONS:
                listed = document.data.get(section)
                for index, entry in enumerate(listed if isinstance(listed, list) else []):
                    self._origins[section, len(self.data[section])] = (document, index)
                    self.data[section].append(entry)

    def section_problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the sections themselves."""
        for document in self.documents:
            for section, listed in document.data.items():
                line = document.line((section,))
                if section not in SECTIONS:
                    hint = did_you_mean(section, SECTIONS) or "; expected `tenants:` and `sites:`"
                    text = f"there is no such section{hint}"
                    yield Problem(document.source, text, line=line, path=section)
                elif not isinstance(listed, list):
                    text = f"expected a list of {section}, each beginning with '- id: …'"
                    yield Problem(document.source, text, line=line, path=section)

    def shape_problems(self) -> Iterator[tuple[Location, Problem]]:
        """Yield what is wrong with each entry taken by itself, and where."""
        for section, model in SECTIONS.items():
            for index, entry in enumerate(self.data[section]):
                try:
                    model.model_validate(entry)
                except ValidationError as invalid:
                    for error in invalid.errors(include_url=False):
                        # `registry_faults` says the same, with the places
                        if error["type"] == INCONSISTENT_SITE:
                            continue
                        location = (section, index, *error["loc"])
                        text = in_words(error)
                        if error["type"] == "extra_forbidden":
                            hint = did_you_mean(str(location[-1]), _fields(model, error["loc"]))
                            text = f"there is no such field{hint}"
                        yield location, self.problem(location, text)

    def problem(self, location: Location, text: str) -> Problem:
        """Return the problem with its file, line and readable path."""
        section, index = location[0], location[1] if len(location) > 1 else None
        origin = self._origins.get((section, index)) if isinstance(section, str) and isinstance(index, int) else None
        if origin is None:
            return Problem(str(self.path), text, path=_readable(self.data, location))
        document, own_index = origin
        own = (section, own_index, *location[2:])
        return Problem(document.source, text, line=document.line(own), path=_readable(document.data, own))


def _fields(model: type[Entry], location: Location) -> list[str]:
    """Return the fields known at the place of `location`, whose last part is an unknown field."""
    for key in location[:-1]:
        if isinstance(key, str):
            model = _model_below(model, key)
    return list(model.model_fields)


def _model_below(model: type[Entry], field: str) -> type[Entry]:
    annotation = model.model_fields[field].annotation
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, Entry):
            return candidate
    return model


def _readable(data: object, location: Location) -> str:
    """Return `sites[zj-steel].meters[main].kind` for a location, naming entries by their id or name."""
    text = ""
    for key in location:
        if isinstance(key, int):
            data = data[key] if isinstance(data, list) and key < len(data) else None
            text += f"[{_name(data) or key}]"
        else:
            data = data.get(key) if isinstance(data, Mapping) else None
            text += f".{key}" if text else key
    return text


def _name(entry: object) -> str | None:
    if not isinstance(entry, Mapping):
        return None
    for key in ("id", "name"):
        name = entry.get(key)
        if isinstance(name, str) and name:
            return name
    return None
