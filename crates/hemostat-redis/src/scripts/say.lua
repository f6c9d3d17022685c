-- Says a message to the Python HemoStat and writes the keys of its agents: all of it, and once.
--
-- ARGV: the id of the event, which is dealt with once, or '' where a repetition does no harm; the id of the message or
-- '' where there is none; seconds for which both are remembered; channel and message; the number of values it was
-- decided on, and of each its key and the value, '' where there was none; the number of writes, and of each its key,
-- what is done, the value, and the seconds after which it is gone, '' where it stays. Answers with a word ('said';
-- 'before' when it was dealt with already; 'changed' when a value is another one by now), who heard it, and how many
-- writes failed.
--
-- The keys are those of an old program and have no hash tag, so this runs on a single server only. A key that holds
-- something else, by whomever, must not stop the others: it fails alone, and is counted.

local LIST_MAX = 100
local event, message, remembered, channel, body = take(5)

for _ = 1, tonumber(take(1)) do
    local key, expected = take(2)
    local value = redis.pcall('GET', key)
    if type(value) ~= 'string' then
        value = ''
    end
    if value ~= expected then
        return { 'changed', 0, 0 }
    end
end
if event ~= '' and not redis.call('SET', prefix .. 'event:' .. event, '1', 'NX', 'EX', remembered) then
    return { 'before', 0, 0 }
end
local heard = 0
if message ~= '' then
    if not redis.call('SET', prefix .. 'said:' .. message, '1', 'NX', 'EX', remembered) then
        return { 'before', 0, 0 }
    end
    heard = redis.call('PUBLISH', channel, body)
end

local failed = 0
local function write(...)
    local answer = redis.pcall(...)
    if type(answer) == 'table' and answer.err then
        failed = failed + 1
        return false
    end
    return true
end

for _ = 1, tonumber(take(1)) do
    local key, what, value, seconds = take(4)
    if what == 'set' then
        write('SET', key, value, 'EX', seconds)
    elseif what == 'push' then
        if write('LPUSH', key, value) then
            redis.call('LTRIM', key, 0, LIST_MAX - 1)
            redis.call('EXPIRE', key, seconds)
        end
    elseif what == 'add' then
        write('SADD', key, value)
    elseif what == 'remove' then
        write('SREM', key, value)
    else
        write('DEL', key)
    end
end
return { 'said', heard, failed }
