"""What is read from the words of the load generator."""

import pytest
from bench.__main__ import at_least, middle
from bench.intake import read_wrk

_SAID = """\
Running 10s test @ http://127.0.0.1:8700
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    12.63ms    4.93ms  87.21ms   {latency}%
    Req/Sec     5.13k   612.50     6.40k    {rate}%
  Latency Distribution
     50%   11.90ms
     75%   14.02ms
     90%   17.51ms
     99%    1.02s
  51310 requests in 10.01s, 9.30MB read
Requests/sec:   5125.87
Transfer/sec:      0.93MB
"""


@pytest.mark.parametrize(("latency", "rate"), [("75.50", "68.00"), ("71.99", "72.50"), ("100.50", "99.99")])
def test_a_share_that_ends_like_a_quantile_is_not_one(latency: str, rate: str) -> None:
    """The share of requests near the mean stands before, and is 75.50% now and then."""
    found = read_wrk(_SAID.format(latency=latency, rate=rate))
    assert found == {"per_second": 5125.87, "p50_ms": 11.9, "p99_ms": 1020.0}


def test_a_figure_that_is_not_there_is_missing_and_nothing_else() -> None:
    assert read_wrk("Requests/sec:   17.00\n     99%    -nan\n") == {"per_second": 17.0}
    assert read_wrk("") == {}
    runs = [{"p99_ms": 3.0}, {}, {"per_second": 5.0}]
    assert (middle(runs, "p99_ms"), middle(runs, "p50_ms")) == (3.0, None)
    assert at_least("Intake", None, 5000, "/s") == ("Intake", "missing", "≥ 5,000 /s", None)
