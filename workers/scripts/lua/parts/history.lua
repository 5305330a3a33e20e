-- include: notify.history.note
-- include: notify.history.edges
-- include: notify.server.whole
-- Counts jobs by their queue and function. What is counted for each of many jobs is collected first, in a table that is quick to find.
--
-- function_of(data, description) -> the path of the function; "(unknown)" if neither tells. RQ writes a pickled call and, unless it is
--   given another text, a description that begins with the path
-- note_job(what, queue, path, n): counts n jobs, or one
-- note_start(queue, fields, now): counts the start of a run, and how long the job has waited
--   fields  of rq:job:<id>: data, description, turn and enqueued_at
-- note_work(what, queue, path, seconds): counts the end of a run, and how long it took; nil if nobody knows
-- note_seconds(what, label, queue, path, seconds): counts a job by its seconds; seconds_of(at) -> a time as RQ writes it as seconds, or nil
-- note_loss(on_loss, need): counts a job that has lost a need, by its policy
-- write_history(): writes the counts. close_topics() calls it
local timed, is_timed = {}, false

local function function_of(data, description)
  return string.match(data or '', '^%["([^"\\]+)"') or string.match(description or '', '^([^%s(]+)%(') or '(unknown)'
end

local function note_job(what, queue, path, n)
  note('job ' .. what .. ' ' .. word(queue) .. ' ' .. word(path), n or 1)
end

local function note_seconds(what, label, queue, path, seconds)
  local key = what .. queue .. ' ' .. path
  local row = timed[key]
  if not row then
    row = {begins = 'job ' .. what .. ' ', names = word(queue) .. ' ' .. word(path), label = label, edges = {}, us = 0}
    timed[key], is_timed = row, true
  end
  local edge = edge_of(seconds)
  row.edges[edge] = (row.edges[edge] or 0) + 1
  row.us = row.us + seconds * 1000000
end

-- The seconds since 1970 of a time as RQ writes it, or nil.
local function seconds_of(at)
  local year, month, day, hour, minute, second = string.match(at or '', '^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)')
  if not year then return nil end
  local y = month + 0 > 2 and year + 0 or year - 1
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400) + math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 719469
  return days * 86400 + hour * 3600 + minute * 60 + second
end

local function note_start(queue, fields, now)
  if not HISTORY_MINUTE then return end
  local path, turn = function_of(fields.data, fields.description), whole(fields.turn, nil, -LARGEST)
  local since_s = turn and math.abs(turn) / 1000000 or seconds_of(fields.enqueued_at)
  if since_s then
    note_seconds('started', 'wait', queue, path, math.max(0, now / 1000 - since_s))
  else
    note_job('started', queue, path)
  end
end

local function note_work(what, queue, path, seconds)
  if not HISTORY_MINUTE then return end
  if seconds then
    note_seconds(what, 'work', queue, path, math.max(0, seconds))
  else
    note_job(what, queue, path)
  end
end

local function note_loss(on_loss, need)
  note('loss ' .. word(on_loss or 'cancel') .. ' ' .. word(need), 1)
end

local function write_history()
  if is_timed then
    for _, row in pairs(timed) do
      for edge, n in pairs(row.edges) do
        note(row.begins .. row.names .. ' ' .. row.label .. '<=' .. edge, n)
      end
      if row.us >= 1 then
        note('job ' .. row.label .. '_us ' .. row.names, math.floor(row.us))
      end
    end
    timed, is_timed = {}, false
  end
  write_notes()
end
