// A proteome per task, each annotated by one run.
//
//     include { FANTASIA_DASK } from './nextflow/main'
//     FANTASIA_DASK(proteomes, file('annotate.yaml'), file('reference'))
//
// `proteomes` is a channel of [meta, FASTA] with meta.id; task.ext.args adds options of `fantasia-dask run`.

process FANTASIA_DASK {
    tag "${meta.id}"
    label 'process_high'

    input:
    tuple val(meta), path(proteins)
    path settings
    path reference

    output:
    tuple val(meta), path("experiments/${meta.id}/summary.tsv"), emit: summary
    tuple val(meta), path("experiments/${meta.id}/status.tsv"), emit: status
    tuple val(meta), path("experiments/${meta.id}/annotations"), emit: annotations
    tuple val(meta), path("experiments/${meta.id}"), emit: run
    path 'versions.yml', emit: versions

    script:
    def args = task.ext.args ?: ''
    def memory = task.memory ? "--set cluster.memory_limit=${task.memory.toMega()}MB" : ''
    """
    export NUMBA_CACHE_DIR="\$PWD/.numba"
    fantasia-dask run '${settings}' --input '${proteins}' --reference '${reference}' \\
        --prefix '${meta.id}' --base-directory . \\
        --set cluster.threads_per_worker=${task.cpus} ${memory} ${args}

    printf '"%s":\\n    fantasia-dask: %s\\n' '${task.process}' "\$(fantasia-dask --version | sed 's/.* //')" > versions.yml
    """

    stub:
    """
    mkdir -p 'experiments/${meta.id}/annotations'
    touch 'experiments/${meta.id}/summary.tsv' 'experiments/${meta.id}/status.tsv' versions.yml
    """
}
