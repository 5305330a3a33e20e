-- include: notify.server.now
-- Included by the scripts that end a job ("-- include: outcome"); it is not run by itself.
--
-- outcome_of(status, reason, now, why, need) -> the JSON object that tells how a job ended
--   why   a JSON object as below
-- why_asked() -> because somebody asked for it
-- why_lost(need, rule, now) -> because of the last loss of a need: which service it was, and how many ms ago
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

local function why_lost(need, rule, now)
  local parts = {'"rule":' .. cjson.encode(rule)}
  local told = redis.pcall('HMGET', k.tombstone .. need, 'service', 'incarnation', 'event', 'at_ms')
  if told[2] and told[4] then
    parts[2] = '"service":' .. cjson.encode(told[1] or need)
    parts[3] = '"incarnation":' .. told[2]
    parts[4] = '"event":' .. cjson.encode(told[3] or '')
    parts[5] = '"after_ms":' .. text(now - told[4])
  end
  return '{' .. table.concat(parts, ',') .. '}'
end
