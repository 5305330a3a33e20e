-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.server.whole
-- include: notify.directory.presence
-- What a job needs, and whether it lost that.
--
-- is_there(need) -> whether a service of that name is registered, or, for "any <capability>", one that provides it
-- presence(need, now) -> by the clock: "there", "overdue" (registered, but silent for its whole ttl) or "gone"
-- needs_of(fields) -> the table need -> serial of its last loss when the job was enqueued, or nil
-- serial_of(need) -> serial of the last loss of a need, 0 if it was never lost
-- loss_of(fields) -> a need that was lost since the job was enqueued or is not there, and the ms when it was lost if that is known
--   fields   of rq:job:<id>: needs, a JSON object, and on_loss
-- up_to_date(needs) -> the same needs as JSON, with the serial of now for those that are there: their earlier losses do not count
local function is_there(need)
  local capability = string.match(need, '^any (.+)$')
  if capability then return redis.call('EXISTS', k.provides .. capability) == 1 end
  return redis.call('SISMEMBER', k.services, need) == 1
end

local function presence(need, now)
  local capability = string.match(need, '^any (.+)$')
  if capability then return (presence_of_any(k.services, k.service, k.provides .. capability, now)) end
  return (presence_of(k.services, k.service .. need, need, now))
end

local function needs_of(fields)
  if not fields.needs then return nil end
  local readable, decoded = pcall(cjson.decode, fields.needs)
  if not readable or type(decoded) ~= 'table' then return nil end -- written by another program; no worker will run the job
  local needs = {}
  for need, seen in pairs(decoded) do
    local serial = whole(seen)
    if type(need) ~= 'string' or not serial then return nil end
    needs[need] = serial
  end
  return needs
end

local function serial_of(need)
  return whole(redis.call('HGET', k.losses, need), 0, 0, now_ms() + DAY_MS)
end

local function loss_of(fields)
  if not fields.needs or fields.on_loss == 'ignore' then return nil end
  for need, seen in pairs(needs_of(fields) or {}) do
    local serial = serial_of(need)
    if serial > seen then return need, serial end
    if not is_there(need) then return need, nil end
  end
  return nil
end

local function up_to_date(needs)
  for need in pairs(needs) do
    if is_there(need) then
      needs[need] = serial_of(need)
    end
  end
  return cjson.encode(needs)
end
