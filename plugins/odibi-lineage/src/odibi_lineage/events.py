"""Events of OpenLineage, with the classes of its own client, from what a run has told.

The ids of runs are made of when a run began and of its own id, so that whoever knows these finds them again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
    sql_job,
)
from openlineage.client.uuid import generate_static_uuid

from odibi_lineage import __version__
from odibi_lineage.datasets import Dataset, dataset_of

if TYPE_CHECKING:
    from odibi_lineage.told import About, Place, Told

PRODUCER = f"urn:odibi:odibi-lineage:{__version__}"
"""Who says it; a URI, as the specification asks for."""


def event_of(told: Told, namespace: str | None) -> RunEvent:
    """The event for one thing that a run told.

    Args:
        told: what.
        namespace: of the jobs; the project by default.
    """
    about = told.about
    jobs = namespace or about.project or "odibi"
    return RunEvent(
        eventTime=_moment(told.at).isoformat(),
        producer=PRODUCER,
        run=Run(runId=run_id(about, told.node, told.began), facets=_run_facets(told, jobs)),
        job=Job(namespace=jobs, name=_job_name(told), facets=_job_facets(told)),
        eventType=RunState(told.kind),
        inputs=[found for found in map(_input, told.reads) if found is not None],
        outputs=[found for found in (_output(place, told) for place in told.writes) if found is not None],
    )


def run_id(about: About, node: str | None = None, began: float = 0.0) -> str:
    """The id of a run, or of the run of one of its nodes, in OpenLineage's terms: a UUID.

    Args:
        about: the run.
        node: of which node.
        began: when that began, in seconds since the epoch.
    """
    if node is None:
        return str(generate_static_uuid(_moment(about.began), f"{about.project}\n{about.run}".encode()))
    return str(generate_static_uuid(_moment(began), f"{about.project}\n{about.run}\n{node}".encode()))


def _job_name(told: Told) -> str:
    pipeline = told.about.pipeline or "pipeline"
    return pipeline if told.node is None else f"{pipeline}.{told.node}"


def _run_facets(told: Told, jobs: str) -> dict[str, Any]:
    about = told.about
    facets: dict[str, Any] = {}
    if about.engine:
        facets["processing_engine"] = processing_engine_run.ProcessingEngineRunFacet(
            version=about.engine, name="Odibi", openlineageAdapterVersion=__version__, producer=PRODUCER
        )
    if told.node is not None:
        whole, pipeline = run_id(about), about.pipeline or "pipeline"
        facets["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=whole),
            job=parent_run.Job(namespace=jobs, name=pipeline),
            root=parent_run.Root(
                run=parent_run.RootRun(runId=whole), job=parent_run.RootJob(namespace=jobs, name=pipeline)
            ),
            producer=PRODUCER,
        )
    if told.error is not None and told.kind == "FAIL":
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=told.error, programmingLanguage="PYTHON", producer=PRODUCER
        )
    return facets


def _job_facets(told: Told) -> dict[str, Any]:
    kind = "PIPELINE" if told.node is None else "NODE"
    facets: dict[str, Any] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="ODIBI", jobType=kind, producer=PRODUCER
        )
    }
    if told.sql:
        facets["sql"] = sql_job.SQLJobFacet(query=";\n".join(told.sql), producer=PRODUCER)
    return facets


def _input(place: Place) -> InputDataset | None:
    found = dataset_of(place.uri)
    return None if found is None else InputDataset(namespace=found.namespace, name=found.name, facets=_schema(place))


def _output(place: Place, told: Told) -> OutputDataset | None:
    found = dataset_of(place.uri)
    if found is None:
        return None
    facets = _schema(place)
    if told.copies and told.reads:
        source = dataset_of(told.reads[0].uri)
        lineage = _copied(source, told.reads[0], place) if source is not None else None
        if lineage is not None:
            facets["columnLineage"] = lineage
    about: dict[str, Any] = {}
    if place.rows is not None or place.size is not None:
        about["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=place.rows, size=place.size, producer=PRODUCER
        )
    return OutputDataset(namespace=found.namespace, name=found.name, facets=facets, outputFacets=about)


def _schema(place: Place) -> dict[str, Any]:
    if not place.columns:
        return {}
    fields = [
        schema_dataset.SchemaDatasetFacetFields(name=name, type=kind, ordinal_position=at)
        for at, (name, kind) in enumerate(place.columns, 1)
    ]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)}


def _copied(source: Dataset, read: Place, written: Place) -> Any:
    """Column by column where each comes from, of a node that does nothing with what it reads."""
    names = {name for name, _ in read.columns}
    if not names or any(name not in names for name, _ in written.columns):
        return None
    identity = column_lineage_dataset.Transformation(type="DIRECT", subtype="IDENTITY")
    return column_lineage_dataset.ColumnLineageDatasetFacet(
        fields={
            name: column_lineage_dataset.Fields(
                inputFields=[
                    column_lineage_dataset.InputField(
                        namespace=source.namespace, name=source.name, field=name, transformations=[identity]
                    )
                ]
            )
            for name, _ in written.columns
        },
        producer=PRODUCER,
    )


def _moment(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, UTC)
