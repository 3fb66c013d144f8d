"""A pytest plugin that puts OTelMonitoringHub in MonitoringHub's place, for Parsl's own tests."""

import parsl.monitoring
import parsl.monitoring.monitoring

from otel_parsl import OTelMonitoringHub

parsl.monitoring.MonitoringHub = OTelMonitoringHub
parsl.monitoring.monitoring.MonitoringHub = OTelMonitoringHub
