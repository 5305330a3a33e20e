-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: notify.server.whole
-- include: notify.directory.presence
-- What a job needs, and whether it lost that.
--
-- presence(need) -> "there", "overdue" or "gone", and the name of a service that is overdue; see notify/directory/lua/parts/presence.lua.
--     What is overdue may still send a heartbeat: a job that needs it does not start, but it is not lost before it is withdrawn
-- needs_of(fields) -> the table need -> serial of its last loss when the job was enqueued, or nil
-- serial_of(need) -> serial of the last loss of a need, 0 if it was never lost
-- loss_of(fields) -> a need that was lost since the job was enqueued or is gone, and the ms when it was lost if that is known;
--     or nil, nil and an overdue service: then nothing is lost, but the job has to wait for that service
--   fields   of rq:job:<id>: needs, a JSON object, and on_loss
-- up_to_date(needs) -> the same needs as JSON, with the serial of now for those that are not gone: their earlier losses do not count
local presences, serials = {}, {} -- of this call of the script: nothing changes while it runs

local function presence(need)
  local known = presences[need]
  if not known then
    local capability = string.match(need, '^any (.+)$')
    if capability then
      known = {presence_of_any(k.services, k.service, k.provides .. capability, now_ms())}
    else
      known = {presence_of(k.services, k.service .. need, need, now_ms()), need}
    end
    presences[need] = known
  end
  return known[1], known[1] == 'overdue' and known[2] or nil
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
  local known = serials[need]
  if not known then
    known = whole(redis.call('HGET', k.losses, need), 0, 0, now_ms() + DAY_MS)
    serials[need] = known
  end
  return known
end

local function loss_of(fields)
  if not fields.needs or fields.on_loss == 'ignore' then return nil end
  local overdue
  for need, seen in pairs(needs_of(fields) or {}) do
    local serial = serial_of(need)
    if serial > seen then return need, serial end
    local found, service = presence(need)
    if found == 'gone' then return need, nil end
    overdue = overdue or service
  end
  return nil, nil, overdue
end

local function up_to_date(needs)
  for need in pairs(needs) do
    if presence(need) ~= 'gone' then
      needs[need] = serial_of(need)
    end
  end
  return cjson.encode(needs)
end
