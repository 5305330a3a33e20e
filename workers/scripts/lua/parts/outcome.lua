-- include: notify.server.now
-- The outcome of a job that was stopped, cancelled or held. Its prefixes come from the table k, see parts/prefixes.lua.
--
-- outcome_of(status, reason, now, why, need) -> the outcome as a JSON object
--   why   a JSON object as below
-- why_asked() -> why, for an outcome that a user or a program asked for
-- why_lost(need, rule, now) -> why, for an outcome that follows from the last loss of a need: the service, and how many ms ago
local function outcome_of(status, reason, now, why, need)
  local parts = {'"status":' .. cjson.encode(status), '"reason":' .. cjson.encode(reason), '"at_ms":' .. text(now), '"why":' .. why}
  if need then
    parts[#parts + 1] = '"need":' .. cjson.encode(need)
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

local function why_asked()
  return '{"rule":"asked"}'
end

local whys = {} -- of this call of the script: it asks once for all jobs that lost the same need by the same rule

local function why_lost(need, rule, now)
  local known = whys[rule .. need]
  if known then return known end
  local parts = {'"rule":' .. cjson.encode(rule)}
  local loss = redis.pcall('HMGET', k.tombstone .. need, 'service', 'incarnation', 'event', 'at_ms')
  if loss[2] and loss[4] then
    parts[2] = '"service":' .. cjson.encode(loss[1] or need)
    parts[3] = '"incarnation":' .. loss[2]
    parts[4] = '"event":' .. cjson.encode(loss[3] or '')
    parts[5] = '"after_ms":' .. text(now - loss[4])
  end
  known = '{' .. table.concat(parts, ',') .. '}'
  whys[rule .. need] = known
  return known
end
