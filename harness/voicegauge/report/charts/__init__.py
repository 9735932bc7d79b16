"""Computes the geometry of charts, which templates print as SVG."""

from voicegauge.report.charts.axis_scale import AxisScale, build_linear_scale, build_point_scale
from voicegauge.report.charts.error_heatmap import SHADE_THRESHOLDS, HeatTable, build_heat_tables
from voicegauge.report.charts.latency_bars import (
    PHASE_LABELS,
    LatencyChart,
    build_latency_chart,
    choose_shared_time_axis,
)
from voicegauge.report.charts.latency_distribution import (
    CURVE_HEIGHT,
    CURVE_WIDTH,
    JobStateChart,
    LatencyCurve,
    build_job_state_chart,
    build_latency_curve,
)
from voicegauge.report.charts.scatter_plot import (
    MAX_RADIUS,
    MIN_RADIUS,
    NARROW_PLOT_SIZE_PX,
    WIDE_PLOT_SIZE_PX,
    ScatterAxes,
    ScatterPlot,
    build_scatter_plot,
    choose_shared_axes,
    filter_plottable_targets,
)

__all__ = [
    "CURVE_HEIGHT",
    "CURVE_WIDTH",
    "MAX_RADIUS",
    "MIN_RADIUS",
    "NARROW_PLOT_SIZE_PX",
    "PHASE_LABELS",
    "SHADE_THRESHOLDS",
    "WIDE_PLOT_SIZE_PX",
    "AxisScale",
    "HeatTable",
    "JobStateChart",
    "LatencyChart",
    "LatencyCurve",
    "ScatterAxes",
    "ScatterPlot",
    "build_heat_tables",
    "build_job_state_chart",
    "build_latency_chart",
    "build_latency_curve",
    "build_linear_scale",
    "build_point_scale",
    "build_scatter_plot",
    "choose_shared_axes",
    "choose_shared_time_axis",
    "filter_plottable_targets",
]
