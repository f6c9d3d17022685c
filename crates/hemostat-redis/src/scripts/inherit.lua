-- Gives a consumer what those who had its slot before left unfinished, and removes consumers that are gone.
--
-- ARGV: the role, the consumer, what the names of its slot begin with ('' where it has none), its epoch, the silence in
-- milliseconds after which any consumer may go, most entries to move, then the streams. Answers with the number of
-- entries moved; where that is not the most, all are.
--
-- Entries are moved without a delivery: the heir's first read counts one. A consumer is removed only when nothing is
-- pending for it, which is looked up here: XGROUP DELCONSUMER would throw that away.

local role, heir, slot, epoch, silent, most = take(6)
epoch, silent, most = tonumber(epoch), tonumber(silent), tonumber(most)
local moved = 0

-- Whether a consumer had the slot earlier.
local function came_before(name)
    if slot == '' or string.sub(name, 1, #slot) ~= slot then
        return false
    end
    local number = string.match(string.sub(name, #slot + 1), '^%d+$')
    return number ~= nil and tonumber(number) < epoch
end

local function move(stream, key, from)
    local ids = {}
    for _, row in ipairs(redis.call('XPENDING', key, role, '-', '+', most - moved, from)) do
        ids[#ids + 1] = row[1]
    end
    local count = #ids
    if count > 0 then
        ids[count + 1] = 'JUSTID'
        local claimed = redis.call('XCLAIM', key, role, heir, 0, unpack(ids))
        if #claimed < count then
            redis.call('HINCRBY', prefix .. 'lost', role .. ' ' .. stream, count - #claimed)
        end
        moved = moved + count
    end
end

for _ = 7, #ARGV do
    local stream = take(1)
    local key = prefix .. stream
    local consumers = redis.pcall('XINFO', 'CONSUMERS', key, role)
    for _, info in ipairs(consumers.err and {} or consumers) do
        local consumer = {}
        for i = 1, #info, 2 do
            consumer[info[i]] = info[i + 1]
        end
        local name = consumer.name
        local before = came_before(name)
        if before and moved < most then
            move(stream, key, name)
        end
        local gone = before or (name ~= heir and silent <= consumer.idle)
        if gone and #redis.call('XPENDING', key, role, '-', '+', 1, name) == 0 then
            redis.call('XGROUP', 'DELCONSUMER', key, role, name)
        end
    end
end
if slot ~= '' then
    -- Open deadlines of one role: few.
    local timers, data = prefix .. 'timers:' .. role, prefix .. 'timer:' .. role
    local all = redis.call('HGETALL', data)
    for i = 1, #all, 2 do
        local due, holder = string.match(all[i + 1], '^(%d+) (.+)$')
        if due and came_before(holder) then
            redis.call('ZADD', timers, due, all[i])
            redis.call('HSET', data, all[i], due)
        end
    end
end
return moved
