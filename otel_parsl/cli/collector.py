"""``otel-parsl collector``: run the stand-alone collector."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from otel_parsl.cli.exit_codes import UNUSABLE, USAGE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``collector`` takes."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="YAML in the OpenTelemetry Collector's shape; without it: OTLP on 127.0.0.1:4317 and"
        " :4318, into monitoring.db here",
    )
    parser.add_argument(
        "--set",
        metavar="A.B=VALUE",
        action="append",
        default=[],
        dest="sets",
        help="override a setting; may be given again",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="listen also where other machines can reach it without TLS and a token",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the collector until it is told to end, and return the exit code."""
    from otel_parsl_collector.config import DEFAULT, load_config
    from otel_parsl_collector.errors import CollectorError, ConfigError
    from otel_parsl_collector.service import run as run_service

    text, name = DEFAULT, "(built in)"
    try:
        if arguments.config is not None:
            text, name = arguments.config.read_text(), str(arguments.config)
        config = load_config(text, name=name, sets=arguments.sets)
        return run_service(config, is_insecure=arguments.insecure)
    except ConfigError as error:
        sys.stderr.write(f"otel-parsl: {error}\n")
        return USAGE
    except (CollectorError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"otel-parsl collector: {error}\n")
        return UNUSABLE
