-- Included by the scripts that decide about a job ("-- include: loss"); it is not run by itself.
--
-- lost_need(job, losses, services) -> name of a needed service that was lost since the job was enqueued, or nil
--   job       rq:job:<id>; its field needs is a JSON object: service -> serial of its last loss when the job was enqueued
--   losses    ns:losses, services  ns:services
local function lost_need(job, losses, services)
  local fields = redis.call('HMGET', job, 'needs', 'on_loss')
  if not fields[1] or fields[2] == 'ignore' then return nil end
  local readable, needs = pcall(cjson.decode, fields[1])
  if not readable or type(needs) ~= 'table' then return nil end -- written by a stranger; no worker will take it
  for need, seen in pairs(needs) do
    local serial = tonumber(redis.call('HGET', losses, need) or '0')
    if serial > (tonumber(seen) or 0) or redis.call('SISMEMBER', services, need) == 0 then
      return need
    end
  end
  return nil
end

-- outcome_of(status, reason, need, now) -> the JSON object that tells how a job ended
local function outcome_of(status, reason, need, now)
  local parts = {'"status":' .. cjson.encode(status), '"reason":' .. cjson.encode(reason), '"at_ms":' .. text(now)}
  if need then
    parts[#parts + 1] = '"need":' .. cjson.encode(need)
  end
  return '{' .. table.concat(parts, ',') .. '}'
end
