#!/bin/sh
# What has become of job $1, in Snakemake's words. Slurm's controller forgets a job some minutes after
# its end; sacct, where there is one, does not. A job that nobody knows any more has to run again; one
# that nobody can be asked about is running.
said=$(squeue --noheader --states=all --jobs="$1" --format=%T 2>&1)
case "$said" in
  *"Invalid job id"* | "")
    said=$(sacct --noheader --allocations --jobs="$1" --format=State%20 2>/dev/null | head -1)
    said=${said:-FORGOTTEN} ;;
esac
case $(echo $said) in
  COMPLETED*) echo success ;;
  BOOT_FAIL* | CANCELLED* | DEADLINE* | FAILED* | NODE_FAIL* | OUT_OF_MEMORY* | TIMEOUT* | FORGOTTEN)
    echo failed ;;
  *) echo running ;;
esac
