# %% [markdown]
# A month of PM2.5, read with pandas and drawn.
#
# Each `# %%` begins a cell: open this file in VS Code, Spyder or Jupyter (with jupytext), or run it
# whole. It needs `pip install pandas pyarrow matplotlib` and a broker at 127.0.0.1:9090.
# The readings are made up; they are no measurements.

# %%
import io
import json
import math
import random
import sys
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone

import matplotlib
import matplotlib.dates

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import pyarrow.ipc

BROKER = (sys.argv[1:] or ["http://127.0.0.1:9090"])[0] + "/ngsi-ld/v1"
PICTURE = (sys.argv[2:] or ["month_of_pm25.png"])[0]
STATIONS = ["37t", "38t", "39t", "40t"]
# A month by the clock of Bangkok; the API speaks UTC.
BANGKOK = timezone(timedelta(hours=7))
BEGIN = datetime(2026, 2, 1, tzinfo=BANGKOK)
END = datetime(2026, 3, 1, tzinfo=BANGKOK)


def iso(at):
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# %% [markdown]
# ## A month of hours for four stations
# The temporal API takes years of readings as well as the last one.

# %%
def made_up(station, at):
    hours = (at - BEGIN).total_seconds() / 3600
    haze = 35 + 25 * math.sin(hours / 90 + STATIONS.index(station))
    return round(max(2, haze + 12 * math.cos(hours / 24 * 2 * math.pi) + random.gauss(0, 4)), 1)


random.seed(1)
for station in STATIONS:
    hours = [BEGIN + timedelta(hours=n) for n in range(24 * 28)]
    entity = {
        "id": f"urn:ngsi-ld:AirQualityObserved:example:{station}",
        "type": "AirQualityObserved",
        "pm25": [
            {"type": "Property", "value": made_up(station, at), "unitCode": "GQ", "observedAt": iso(at)}
            for at in hours
        ],
    }
    request = urllib.request.Request(
        BROKER + "/temporal/entities",
        data=json.dumps(entity).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request)

# %% [markdown]
# ## Every reading as a data frame
# `Accept` asks for Arrow: one row per reading, with its unit, and nothing to parse.

# %%
def history(**parameters):
    query = {
        "type": "AirQualityObserved",
        "idPattern": "example",
        "pick": "pm25",
        "timerel": "between",
        "timeAt": iso(BEGIN),
        "endTimeAt": iso(END),
        **parameters,
    }
    request = urllib.request.Request(
        BROKER + "/temporal/entities?" + urllib.parse.urlencode(query),
        headers={"Accept": "application/vnd.apache.arrow.stream"},
    )
    with urllib.request.urlopen(request) as answer:
        return pyarrow.ipc.open_stream(io.BytesIO(answer.read())).read_pandas()


readings = history()
readings["station"] = readings["id"].str.rsplit(":", n=1).str[-1]
print(readings[["station", "observedAt", "value", "unitCode"]].head())
hourly = readings.pivot(index="observedAt", columns="station", values="value").tz_convert(BANGKOK)

# %% [markdown]
# ## Daily means, reckoned by the broker
# The window begins at midnight in Bangkok, and so does each day.

# %%
days = history(format="aggregatedValues", aggrMethods="avg,max", aggrPeriodDuration="P1D")
days["station"] = days["id"].str.rsplit(":", n=1).str[-1]
daily = days.pivot(index="from", columns="station", values="avg").tz_convert(BANGKOK)
print(daily.round(1).head())
assert abs(daily.iloc[0]["40t"] - hourly["40t"].iloc[:24].mean()) < 1e-9

# %% [markdown]
# ## The picture

# %%
figure, axes = plt.subplots(figsize=(10, 5))
axes.plot(hourly.index, hourly["40t"], color="lightgray", linewidth=0.8, label="40t, every hour")
for station in daily:
    # A mean holds for its day, from midnight to midnight.
    values = [*daily[station], daily[station].iloc[-1]]
    axes.step([*daily.index, END], values, where="post", label=f"{station}, daily mean")
axes.axhline(37.5, color="firebrick", linestyle="--", linewidth=1, label="Thai daily standard")
axes.set(title="PM2.5 (made up)", ylabel="µg/m³", xlim=(BEGIN, END), ylim=(0, None))
axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%d %b", tz=BANGKOK))
axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, frameon=False)
figure.tight_layout()
figure.savefig(PICTURE, dpi=120)
print(f"drawn: {PICTURE}, from {len(readings)} readings")
