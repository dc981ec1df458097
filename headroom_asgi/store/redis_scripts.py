"""What a Redis store has the server do: one Lua script per operation, each on one key, so that they run on a cluster as well.

An entry is a hash: `v` is its value, or `n:NAME` its counters; `t` its idle time, `e` when it expires, `c` when it does so at the
latest (milliseconds). The server drops it by itself at `e`. The time is the server's unless the caller brings one.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

_PRELUDE: Final = """
local key = KEYS[1]
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local old = redis.call('HMGET', key, 't', 'e', 'c')
local live = old[2] and tonumber(old[2]) > now
local function use(ttl)
    local expires = math.min(now + ttl, tonumber(old[3]))
    -- A use is noted if it is worth a write: a 64th of the idle time, or a minute, after the last one.
    if ttl ~= tonumber(old[1]) or expires - tonumber(old[2]) >= math.min(ttl / 64, 60000) then
        redis.call('HSET', key, 't', string.format('%.0f', ttl), 'e', string.format('%.0f', expires))
        redis.call('PEXPIRE', key, string.format('%.0f', expires - now))
    end
end
local function written(ttl, cap)
    local expires = math.min(ttl, cap)
    redis.call('HSET', key, 't', string.format('%.0f', ttl), 'e', string.format('%.0f', now + expires),
               'c', string.format('%.0f', now + cap))
    redis.call('PEXPIRE', key, string.format('%.0f', expires))
end
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the name by which a server that has seen it knows it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


# Arguments after the time. PUT: value, ttl, cap, 1 for if_absent. Answers 1 if it was stored.
PUT: Final = Script(
    _PRELUDE
    + """
if live and ARGV[5] == '1' then
    use(tonumber(ARGV[3]))
    return 0
end
-- Without need nothing is deleted first: a server without memory refuses the first thing that a script writes, and only that.
if old[2] then redis.call('DEL', key) end
redis.call('HSET', key, 'v', ARGV[2])
written(tonumber(ARGV[3]), tonumber(ARGV[4]))
return 1
"""
)

# GET answers the value, nil if there is none.
GET: Final = Script(
    _PRELUDE
    + """
local value = live and redis.call('HGET', key, 'v')
if value then use(tonumber(old[1])) end
return value
"""
)

# TOUCH: ttl. Answers 1 if the entry is there.
TOUCH: Final = Script(
    _PRELUDE
    + """
if not live then return 0 end
use(tonumber(ARGV[2]))
return 1
"""
)

# DELETE answers 1 if the entry was there.
DELETE: Final = Script(
    _PRELUDE
    + """
redis.call('UNLINK', key)
return live and 1 or 0
"""
)

# LIVE answers 1 if the entry is there, and notes no use.
LIVE: Final = Script(_PRELUDE + "return live and 1 or 0\n")

# ADD: cap, then names and numbers. Answers all names and numbers; a number alone if the entry holds a value.
ADD: Final = Script(
    _PRELUDE
    + """
if old[2] and not live then redis.call('DEL', key) end
if redis.call('HEXISTS', key, 'v') == 1 then return 1 end
for i = 3, #ARGV, 2 do redis.call('HINCRBY', key, 'n:' .. ARGV[i], ARGV[i + 1]) end
if #ARGV > 2 then written(tonumber(ARGV[2]), tonumber(ARGV[2])) end
local all, counters = redis.call('HGETALL', key), {}
for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'n:' then
        counters[#counters + 1] = string.sub(all[i], 3)
        counters[#counters + 1] = all[i + 1]
    end
end
return counters
"""
)
