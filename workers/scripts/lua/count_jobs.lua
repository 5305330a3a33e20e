-- include: notify.server.whole
-- Counts the jobs in a part of the list of a queue, or of a registry, by their status, and finds the queued one that is the oldest.
-- KEYS    jobs    rq:queue:<name>, or a registry of ids
-- ARGV    first   index of the first job to look at
--         count   how many jobs to look at
--         prefix  of the key of a job
-- returns {least turn of a queued job or "", least enqueued_at of one without a turn or "", status, number of jobs, status, ...}
-- A job that is gone is not counted, though it is still in the list or registry.
local jobs = KEYS[1]
local first, count, prefix = unpack(ARGV)
local kind = redis.call('TYPE', jobs).ok
local range = kind == 'list' and 'LRANGE' or kind == 'zset' and 'ZRANGE'
local counts, oldest, enqueued_at = {}, nil, ''

local function note_age(turn_field, at)
  local turn = whole(turn_field, nil, -LARGEST)
  if turn then
    turn = math.abs(turn) -- negative if the job was put at the front
    oldest = math.min(oldest or turn, turn)
  elseif at and (enqueued_at == '' or at < enqueued_at) then
    enqueued_at = at
  end
end

for _, id in ipairs(range and redis.call(range, jobs, first, first + count - 1) or {}) do
  local known = redis.pcall('HMGET', prefix .. id, 'status', 'turn', 'enqueued_at') -- a key that is no hash has no fields
  local status = known[1]
  if status then
    counts[status] = (counts[status] or 0) + 1
    if status == 'queued' then
      note_age(known[2], known[3])
    end
  end
end
local answer = {oldest and string.format('%.0f', oldest) or '', enqueued_at}
for status, number in pairs(counts) do
  answer[#answer + 1] = status
  answer[#answer + 1] = number
end
return answer
